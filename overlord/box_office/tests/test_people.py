"""The staff: invitations, roles and the end of access, through the organiser's pages."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from overlord.accounts import limits, operations, rules, selectors, staff_services, tasks
from overlord.accounts.models import StaffInvitation, User
from overlord.box_office.roles import ROLES, roles_lack, roles_make
from overlord.embedded import doctor
from overlord.journal.actions import Action, sentence
from overlord.journal.models import JournalEntry
from overlord.kernel import queues
from overlord.kernel.errors import Forbidden, Invalid, TooMany
from tests.clients import api_of
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "correct battery staple"


@pytest.fixture(autouse=True)
def groups() -> None:
    roles_make()


def role(name: str) -> Group:
    return Group.objects.get(name=name)


@pytest.fixture
def staff_make(user_make: Callable[..., User]) -> Callable[..., User]:
    def make(*names: str, **fields: Any) -> User:
        user = user_make(is_staff=True, **fields)
        user.groups.set(Group.objects.filter(name__in=names))
        return user

    return make


@pytest.fixture
def organiser(staff_make: Callable[..., User]) -> User:
    return staff_make("Organiser", username="olga")


@pytest.fixture
def foreman(staff_make: Callable[..., User]) -> User:
    """Return a member of the box office who may manage staff, but has fewer permissions than an organiser."""
    user = staff_make("Box office")
    user.user_permissions.add(Permission.objects.get(codename="manage_staff"))
    return user


def browser(user: User | None) -> Client:
    client = Client(headers={"accept": "text/html"})
    if user is not None:
        client.force_login(user)
    return client


def invite(actor: User, email: str = "new@example.org", name: str = "Door") -> Any:
    return browser(actor).post("/office/people/", {"email": email, "role": role(name).pk})


def mailed() -> str:
    """Send the mails of open invitations, and return the address in the last one."""
    for invitation in StaffInvitation.objects.filter(StaffInvitation.OPEN):
        tasks.invitation_send(invitation_id=invitation.pk)
    found = re.search(r"http://[^/]+(/invitations/\S+)", str(mail.outbox[-1].body))
    assert found is not None
    return found[1]


def before(user: User) -> str:
    return selectors.access_version(user_id=user.pk)


def deeds() -> list[tuple[int, str]]:
    """Return the journal's entries, without those of the fixture that made the roles."""
    found = JournalEntry.objects.exclude(action=Action.ROLES_MADE).order_by("pk")
    return [(each.actor_id, sentence(each.action, each.facts)) for each in found]


class TestInvitations:
    def test_a_person_sends_sixty_in_an_hour(self, organiser: User, limits_on: None) -> None:
        for _ in range(limits.INVITATION_BY_STAFF.amount - 1):
            limits.count_invitation(staff_id=organiser.pk)
        assert invite(organiser).status_code == 302

        assert invite(organiser, "another@example.org").status_code == 429

        sent = StaffInvitation.objects.get()
        with pytest.raises(TooMany):
            staff_services.invitation_resend(
                actor_id=organiser.pk, invitation_id=sent.pk, issue=sent.issue, now=timezone.now()
            )

    def test_a_new_person_is_invited_sets_a_password_and_works(self, organiser: User) -> None:
        assert invite(organiser).status_code == 302
        assert queues.queue_length(queues.Queue.MAIL) == 1
        address = mailed()
        assert mail.outbox[-1].to == ["new@example.org"]
        client = browser(None)
        assert "olga invites you" in client.get(address).content.decode()
        assert client.post(address, {"password": "short"}).status_code == 400
        assert client.post(address, {"password": NEW}).status_code == 302
        user = User.objects.get(email="new@example.org")
        assert (user.is_staff, [each.name for each in user.groups.all()]) == (True, ["Door"])
        assert user.check_password(NEW)
        assert client.get("/door/").status_code == 200, "logged in at once"
        assert deeds() == [
            (organiser.pk, "Invited new@example.org to work as Door"),
            (user.pk, "Accepted an invitation to work as Door"),
        ]

    def test_the_link_works_once(self, organiser: User) -> None:
        invite(organiser)
        address = mailed()
        assert browser(None).post(address, {"password": NEW}).status_code == 302
        assert browser(None).get(address).status_code == 410
        assert browser(None).post(address, {"password": NEW}).status_code == 410

    def test_two_acceptances_at_once_make_one_account(self, organiser: User) -> None:
        invite(organiser)
        signed = mailed().split("/")[2]
        accept = partial(
            staff_services.invitation_accept_new,
            signed=signed,
            password=NEW,
            language="en",
            now=timezone.now(),
        )

        made, *refused = sorted(together(accept, accept, accept), key=lambda each: not isinstance(each, User))
        assert isinstance(made, User)
        # One that is late may notice that the address has an account before it looks at the invitation again.
        assert all(isinstance(each, rules.InvitationEnded | Invalid) for each in refused), refused
        assert User.objects.filter(email="new@example.org").count() == 1

    def test_an_account_logs_in_and_accepts(self, organiser: User, buyer: User) -> None:
        invite(organiser, buyer.email.upper())
        address = mailed()
        asked = browser(None).get(address).content.decode()
        assert f"/login/?next={address}" in asked
        assert browser(None).post(address, {"password": NEW}).status_code == 200, "nothing happens"
        buyer.refresh_from_db()
        assert not buyer.is_staff
        assert browser(buyer).post(address).status_code == 302
        buyer.refresh_from_db()
        assert buyer.is_staff
        assert buyer.check_password("correct horse")

    def test_nobody_else_accepts(self, organiser: User, buyer: User, user_make: Callable[..., User]) -> None:
        invite(organiser, buyer.email)
        address, other = mailed(), user_make()
        assert "Log out" in browser(other).post(address).content.decode()
        other.refresh_from_db()
        assert not other.is_staff
        with pytest.raises(rules.InvitationOfAnother):
            staff_services.invitation_accept(
                signed=address.split("/")[2], user_id=other.pk, now=timezone.now()
            )

    def test_a_changed_late_or_ended_link_does_not_work(self, organiser: User) -> None:
        invite(organiser)
        address = mailed()
        link = address.strip("/").split("/")[1]
        for wrong in (link[:-1], link[:-2] + "xx", "1-1", "0-1-" + "a" * 43, link.replace("-1-", "-2-", 1)):
            assert browser(None).get(f"/invitations/{wrong}/").status_code == 410, wrong
        StaffInvitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert browser(None).get(address).status_code == 410

    def test_sending_again_ends_the_earlier_link_and_a_stale_button_does_nothing(
        self, organiser: User
    ) -> None:
        invite(organiser)
        first, made = mailed(), StaffInvitation.objects.get()
        again = f"/office/invitations/{made.pk}/resend/"
        browser(organiser).post(again, {"issue": 1})
        made.refresh_from_db()
        assert (made.issue, made.sent_at) == (2, None)
        latest = mailed()
        for stale in (again, f"/office/invitations/{made.pk}/withdraw/"):
            browser(organiser).post(stale, {"issue": 1})
        made.refresh_from_db()
        assert (made.issue, made.withdrawn_at) == (2, None)
        assert made.sent_at is not None, "no third mail"
        assert browser(None).get(first).status_code == 410
        assert browser(None).get(latest).status_code == 200

    def test_after_a_withdrawn_invitation_the_address_can_be_invited_again(self, organiser: User) -> None:
        invite(organiser)
        address, made = mailed(), StaffInvitation.objects.get()
        assert invite(organiser).status_code == 409
        browser(organiser).post(f"/office/invitations/{made.pk}/withdraw/", {"issue": 1})
        assert browser(None).get(address).status_code == 410
        assert invite(organiser).status_code == 302

    def test_an_expired_invitation_makes_room_for_another(self, organiser: User) -> None:
        invite(organiser)
        StaffInvitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
        assert invite(organiser, name="Viewer").status_code == 302
        assert StaffInvitation.objects.filter(StaffInvitation.OPEN).get().role.name == "Viewer"

    def test_two_invitations_of_an_address_at_once_are_one(self, organiser: User) -> None:
        statuses = together(*[lambda: invite(organiser).status_code] * 3)
        assert sorted(statuses) == [302, 409, 409]

    def test_staff_are_not_invited(self, organiser: User, foreman: User) -> None:
        answer = invite(organiser, foreman.email)
        assert answer.status_code == 409
        assert "already has access" in answer.content.decode()

    def test_an_invitation_ends_with_the_rights_of_its_sender(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        other = staff_make("Organiser")
        invite(other, name="Organiser")
        address = mailed()
        other.groups.set([role("Viewer")])
        assert browser(None).get(address).status_code == 410
        other.groups.set([role("Organiser")])
        staff_services.access_end(
            actor_id=organiser.pk, user_id=other.pk, before=before(other), now=timezone.now()
        )
        assert browser(None).post(address, {"password": NEW}).status_code == 410
        User.objects.filter(pk=other.pk).update(is_staff=True)
        other.groups.set([role("Organiser")])
        assert browser(None).get(address).status_code == 410, "it does not come back with the rights"
        assert invite(organiser).status_code == 302, "the address can be invited again"


class TestRights:
    def test_roles_are_changed(self, organiser: User, staff_make: Callable[..., User]) -> None:
        person = staff_make("Door")
        page = browser(organiser).get(f"/office/people/{person.pk}/").content.decode()
        assert before(person) in page
        sent = {"roles": [role("Viewer").pk, role("Box office").pk], "before": before(person)}
        assert browser(organiser).post(f"/office/people/{person.pk}/", sent).status_code == 302
        assert {each.name for each in person.groups.all()} == {"Viewer", "Box office"}
        assert deeds() == [(organiser.pk, "Changed the roles of a person to: Box office, Viewer")]

    def test_a_role_that_is_gone_is_refused_beside_the_roles(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        person = staff_make("Door")
        sent = {"roles": ["999999"], "before": before(person)}
        page = browser(organiser).post(f"/office/people/{person.pk}/", sent).content.decode()
        assert 'aria-describedby="id_roles_error"' in page
        assert 'id="id_roles_error">Select a valid choice' in page

    def test_a_stale_form_changes_nothing(self, organiser: User, staff_make: Callable[..., User]) -> None:
        person = staff_make("Door")
        sent = {"roles": [role("Door").pk, role("Box office").pk], "before": before(person)}
        person.groups.set([role("Viewer")])
        for place in ("", "end/"):
            answer = browser(organiser).post(f"/office/people/{person.pk}/{place}", sent)
            assert answer.status_code == 409
            assert "somebody else has changed" in answer.content.decode()
        assert [each.name for each in person.groups.all()] == ["Viewer"]

    def test_nobody_gives_permissions_that_they_do_not_have(
        self, foreman: User, staff_make: Callable[..., User]
    ) -> None:
        person = staff_make("Door")
        assert invite(foreman, name="Organiser").status_code == 400, "it is not offered"
        with pytest.raises(rules.RightsBeyondYours):
            staff_services.invitation_make(
                actor_id=foreman.pk, email="a@b.cd", role_id=role("Organiser").pk, now=timezone.now()
            )
        with pytest.raises(rules.RightsBeyondYours):
            staff_services.roles_change(
                actor_id=foreman.pk,
                user_id=person.pk,
                role_ids=[role("Organiser").pk],
                before=before(person),
                now=timezone.now(),
            )
        assert invite(foreman, name="Door").status_code == 302

    def test_nobody_changes_a_user_with_more_permissions_or_themselves(
        self, organiser: User, foreman: User, user_make: Callable[..., User]
    ) -> None:
        root = user_make(is_staff=True, is_superuser=True)
        for actor, person in ((foreman, organiser), (organiser, root), (foreman, foreman), (root, root)):
            sent = {"roles": [role("Door").pk], "before": before(person)}
            for place in ("", "end/"):
                answer = browser(actor).post(f"/office/people/{person.pk}/{place}", sent)
                assert answer.status_code in (400, 403, 409), (actor, person, place)
        assert User.objects.filter(is_staff=True).count() == 3
        assert organiser.groups.get().name == "Organiser"

    def test_without_a_role_nothing_is_changed(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        person = staff_make("Door")
        answer = browser(organiser).post(f"/office/people/{person.pk}/", {"before": before(person)})
        assert answer.status_code == 409
        assert person.groups.exists()

    def test_two_organisers_who_end_each_other_leave_one(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        other = staff_make("Organiser")

        ends = [
            partial(
                staff_services.access_end,
                actor_id=actor.pk,
                user_id=person.pk,
                before=before(person),
                now=timezone.now(),
            )
            for actor, person in ((organiser, other), (other, organiser))
        ]
        assert {type(each) for each in together(*ends)} == {type(None), Forbidden}
        assert User.objects.filter(is_staff=True).count() == 1

    def test_control_without_the_lock_both_lose_their_access(
        self, organiser: User, staff_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Remove the lock, as a negative control: the actor's own rights are read under it, and not before."""
        other = staff_make("Organiser")
        monkeypatch.setattr(operations, "staff_lock", lambda *, actor_id: None)
        monkeypatch.setattr(selectors, "rights_of", lambda **_: rules.Rights(permissions=frozenset()))
        for actor, person in ((organiser, other), (other, organiser)):
            staff_services.access_end(
                actor_id=actor.pk, user_id=person.pk, before=before(person), now=timezone.now()
            )
        assert User.objects.filter(is_staff=True).count() == 0

    def test_ended_access_is_over_at_once_and_the_account_stays(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        person = staff_make("Door", "Viewer")
        open_page, api = browser(person), api_of(person)
        assert open_page.get("/door/").status_code == 200
        assert api.get("/stats/events/").status_code == 200
        answer = browser(organiser).post(f"/office/people/{person.pk}/end/", {"before": before(person)})
        assert answer.status_code == 302
        assert open_page.get("/door/").headers["Location"].startswith("/login/")
        assert api.get("/stats/events/").status_code == 401
        again = browser(None)
        assert again.login(username=person.username, password="correct horse")
        assert again.get("/door/").status_code == 403
        assert again.get("/me/").status_code == 200
        assert browser(organiser).get(f"/office/people/{person.pk}/").status_code == 404

    def test_a_longer_list_takes_no_more_queries(
        self, organiser: User, staff_make: Callable[..., User]
    ) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as queries:
                assert client.get("/office/people/").status_code == 200
            return len(queries)

        client = browser(organiser)
        count()
        few = count()
        for name in ("Door", "Viewer", "Box office", "Organiser"):
            staff_make(name)
            invite(organiser, f"{name[:3]}@example.org", name)
        assert count() == few

    def test_in_the_admin_nobody_removes_their_own_rights(self, user_make: Callable[..., User]) -> None:
        root = user_make(is_staff=True, is_superuser=True)
        sent = {"username": root.username, "email": root.email, "date_joined_0": "2026-01-01",
                "date_joined_1": "00:00:00", "version": selectors.account_version(root)}  # fmt: skip
        assert browser(root).post(f"/admin/accounts/user/{root.pk}/change/", sent).status_code == 302
        browser(root).post(f"/admin/accounts/user/{root.pk}/delete/", {"post": "yes"})
        root.refresh_from_db()
        assert (root.is_staff, root.is_superuser, root.is_active) == (True, True, True)


def test_the_usual_roles_are_made_by_staff_who_may_do_all(
    organiser: User, foreman: User, user_make: Any
) -> None:
    Group.objects.exclude(pk__in=[role("Organiser").pk, role("Box office").pk]).delete()
    before = Group.objects.count()
    assert browser(foreman).post("/office/people/roles/").status_code == 302
    assert Group.objects.count() == before
    assert browser(organiser).post("/office/people/roles/").status_code == 302
    assert Group.objects.count() == len(ROLES)
    made = JournalEntry.objects.filter(action=Action.ROLES_MADE).order_by("pk")
    assert [each.actor_id for each in made] == [None, organiser.pk], "the first is the fixture's command"
    Group.objects.all().delete()
    root = user_make(is_staff=True, is_superuser=True)
    assert "/office/people/roles/" in browser(root).get("/office/people/").content.decode()


def test_roles_that_lack_permissions_of_a_new_version_are_named_until_they_have_them(
    organiser: User, user_make: Callable[..., User]
) -> None:
    root = user_make(is_staff=True, is_superuser=True)
    assert "lack permissions" not in browser(root).get("/office/people/").content.decode()
    for name in ("Organiser", "Door"):
        role(name).permissions.remove(*Permission.objects.filter(codename__in=["view_journal", "use_door"]))
    role("Viewer").delete()  # a role that does not exist lacks nothing

    lack = {"Organiser": ["admission.use_door", "journal.view_journal"], "Door": ["admission.use_door"]}
    assert roles_lack() == lack
    assert [found.text.partition(".")[0] for found in doctor._warnings()] == [
        "The role Organiser lacks what this version gives it: admission",
        "The role Door lacks what this version gives it: admission",
    ]
    page = browser(organiser).get("/office/people/").content.decode()
    assert "admission.use_door, journal.view_journal" in page
    assert 'action="/office/people/roles/"' not in page  # an actor who lacks it cannot give it
    assert 'action="/office/people/roles/"' in browser(root).get("/office/people/").content.decode()
    assert roles_lack() == lack

    browser(root).post("/office/people/roles/")
    assert roles_lack() == {}
    assert JournalEntry.objects.filter(action=Action.ROLES_MADE).latest("pk").actor == root


def test_old_invitations_are_deleted_and_open_ones_stay(organiser: User) -> None:
    invite(organiser)
    invite(organiser, "late@example.org")
    old = timezone.now() - timedelta(days=400)
    StaffInvitation.objects.filter(email="late@example.org").update(expires_at=old)
    invite(organiser, "withdrawn@example.org")
    retained = timezone.now() - settings.RETENTION - timedelta(days=1)
    ended = StaffInvitation.objects.filter(email="withdrawn@example.org")
    ended.update(withdrawn_at=retained, expires_at=retained + rules.INVITATION_LIFETIME)
    tasks.rows_prune()
    assert [each.email for each in StaffInvitation.objects.all()] == ["new@example.org"]
