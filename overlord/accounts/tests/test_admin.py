"""Accounts in the admin: who may give rights to whom, and the answers to odd addresses."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.utils import timezone

from overlord.accounts import selectors, staff_services
from overlord.accounts.admin import UserAdmin
from overlord.accounts.models import User
from tests.clients import permit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clerk(user_make: Callable[..., User]) -> Client:
    """Return a staff member who may add, change and delete users, but is no superuser."""
    user = user_make(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def root(user_make: Callable[..., User]) -> User:
    return user_make(is_staff=True, is_superuser=True)


def change(client: Client, user: User, **fields: Any) -> Any:
    sent = {"username": user.username, "email": user.email, "is_active": "on"}
    joined = {
        "date_joined_0": f"{user.date_joined:%Y-%m-%d}",
        "date_joined_1": f"{user.date_joined:%H:%M:%S}",
    }
    version = {"version": selectors.account_version(User.objects.get(pk=user.pk))}
    return client.post(f"/admin/accounts/user/{user.pk}/change/", {**sent, **joined, **version, **fields})


def test_a_clerk_changes_names_and_gives_no_rights(clerk: Client, buyer: User) -> None:
    answer = change(clerk, buyer, first_name="Ada", is_staff="on", is_superuser="on", user_permissions=["1"])
    assert answer.status_code == 302
    buyer.refresh_from_db()
    assert buyer.first_name == "Ada"
    assert not buyer.is_staff
    assert not buyer.is_superuser
    assert not buyer.user_permissions.exists()


def test_a_clerk_changes_no_superuser_and_no_superusers_password(clerk: Client, root: User) -> None:
    assert change(clerk, root, first_name="Ada").status_code == 403
    new = {"usable_password": "true", "password1": "another battery", "password2": "another battery"}
    assert clerk.post(f"/admin/accounts/user/{root.pk}/password/", new).status_code == 403
    assert clerk.post(f"/admin/accounts/user/{root.pk}/delete/", {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [root.pk], "post": "yes"}
    clerk.post("/admin/accounts/user/", action)
    root.refresh_from_db()
    assert root.check_password("correct horse")


def test_a_clerk_changes_nobody_with_more_permissions(clerk: Client, user_make: Callable[..., User]) -> None:
    organiser = permit(user_make(), "checkout.refund_payment")
    assert change(clerk, organiser, email="clerk@example.org").status_code == 403
    new = {"usable_password": "true", "password1": "another battery", "password2": "another battery"}
    assert clerk.post(f"/admin/accounts/user/{organiser.pk}/password/", new).status_code == 403
    assert clerk.post(f"/admin/accounts/user/{organiser.pk}/delete/", {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [organiser.pk], "post": "yes"}
    clerk.post("/admin/accounts/user/", action)
    organiser.refresh_from_db()
    assert organiser.check_password("correct horse")
    assert organiser.email != "clerk@example.org"


def test_a_clerk_changes_users_without_more_permissions(
    clerk: Client, user_make: Callable[..., User]
) -> None:
    other = permit(user_make(), "accounts.change_user")
    assert change(clerk, other, first_name="Ada").status_code == 302
    other.refresh_from_db()
    assert other.first_name == "Ada"


def test_only_superusers_change_what_a_group_may_do(user_make: Callable[..., User], root: User) -> None:
    group, right = Group.objects.create(name="Door"), Permission.objects.get(codename="refund_payment")
    names = ("add_group", "change_group", "delete_group", "view_group")
    clerk = permit(user_make(), *(f"auth.{name}" for name in names))
    clerk.groups.add(group)
    one = f"/admin/auth/group/{group.pk}/change/"
    sent = {"name": "Door", "permissions": [right.pk]}
    for user, is_changed in ((clerk, False), (root, True)):
        client = Client()
        client.force_login(user)
        assert client.get(one).status_code == 200, "staff with the permission to view see it"
        assert client.post(one, sent).status_code == (302 if is_changed else 403)
        assert group.permissions.exists() == is_changed
        added = client.post("/admin/auth/group/add/", {"name": f"of {user.pk}"})
        assert added.status_code == (302 if is_changed else 403)


def test_a_superuser_gives_rights(root: User, buyer: User) -> None:
    client = Client()
    client.force_login(root)
    assert change(client, buyer, is_staff="on").status_code == 302
    buyer.refresh_from_db()
    assert buyer.is_staff


class TestAnOutdatedForm:
    """Somebody ends an organiser's access while another edits the account in the admin."""

    @pytest.fixture
    def browser(self, root: User) -> Client:
        client = Client()
        client.force_login(root)
        return client

    @pytest.fixture
    def organiser(self, user_make: Callable[..., User]) -> User:
        user = user_make(is_staff=True)
        user.groups.add(Group.objects.create(name="Organisers"))
        return user

    def end(self, user: User, by: User) -> None:
        before = selectors.access_version(user_id=user.pk)
        staff_services.access_end(actor_id=by.pk, user_id=user.pk, before=before, now=timezone.now())

    def sent(self, user: User, page: str) -> dict[str, Any]:
        found = re.search(r'name="version" value="(\w+)"', page)
        assert found is not None
        return {"version": found[1], "is_staff": "on", "groups": [each.pk for each in user.groups.all()]}

    def test_an_outdated_form_gives_no_access_back(
        self, browser: Client, organiser: User, root: User
    ) -> None:
        page = browser.get(f"/admin/accounts/user/{organiser.pk}/change/").content.decode()
        sent = self.sent(organiser, page)
        self.end(organiser, root)
        answer = change(browser, organiser, first_name="Ada", **sent)
        assert "Somebody else has changed this user" in answer.content.decode()
        organiser.refresh_from_db()
        assert (organiser.first_name, organiser.is_staff, organiser.groups.count()) == ("", False, 0)

    def test_a_current_form_changes_the_access(self, browser: Client, organiser: User) -> None:
        page = browser.get(f"/admin/accounts/user/{organiser.pk}/change/").content.decode()
        assert change(browser, organiser, first_name="Ada", **self.sent(organiser, page)).status_code == 302
        organiser.refresh_from_db()
        assert (organiser.first_name, organiser.is_staff, organiser.groups.count()) == ("Ada", True, 1)

    @pytest.mark.parametrize("usable", ["true", "false"])
    def test_a_new_password_gives_no_access_back(self, organiser: User, root: User, usable: str) -> None:
        form = UserAdmin.change_password_form(
            User.objects.get(pk=organiser.pk),
            {"usable_password": usable, "password1": "another battery", "password2": "another battery"},
        )
        assert form.is_valid(), form.errors
        self.end(organiser, root)
        form.save()
        organiser.refresh_from_db()
        assert not organiser.is_staff
        assert organiser.check_password("another battery") == (usable == "true")


@pytest.mark.parametrize(
    "query",
    [
        "date_joined__year=9999",
        "date_joined__gte=9999-12-31",
        "id__exact=99999999999999999999",
        "q=%00",
        "q=ﷺ",
    ],
)
def test_an_odd_filter_is_answered(query: str, root: User) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(root)
    assert client.get(f"/admin/accounts/user/?{query}").status_code in (200, 302, 400, 404)


@pytest.mark.parametrize("user_id", ["99999999999999999999", "x", "-1"])
def test_an_unknown_user_is_answered(user_id: str, root: User) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(root)
    assert client.get(f"/admin/accounts/user/{user_id}/change/").status_code == 302
    assert client.get(f"/admin/accounts/user/{user_id}/password/").status_code in (302, 404)
