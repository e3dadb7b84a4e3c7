"""A person's data can be exported and erased; money, counters and tickets stay right."""

import json
import threading
from collections.abc import Callable
from functools import partial
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.test import Client
from django.utils import timezone
from psycopg2.errors import DeadlockDetected
from rest_framework.test import APIClient

from checkout import services
from checkout.models import OrderRecord, Payment, Receipt
from checkout.services import personal_data
from checkout.services.personal_data import Unfinished
from checkout.tests.paying import PAYMENTS, audit, heal, pay, work
from overlord.accounts import operations as accounts
from overlord.accounts.models import ApiToken, SecondFactor, StaffInvitation, User
from overlord.mailings import services as mailings
from overlord.mailings.models import Recipient
from overlord.mailings.rules import Audience, Kind
from overlord.mailings.selectors import To
from tests.clients import api_of, permit
from tests.threads import together
from tickets import operations as tickets
from tickets.admission.models import HandOverNotice, Ticket
from tickets.line import operations as line
from tickets.line import services as line_services
from tickets.line.tests.lines import HOLD, enter, line_make, open_sale, serve_all, states
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import claim, done_or_waiting_for_a_lock, reserve, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

# The tables with a user's own rows. A new table must be named here or in OF_STAFF.
OWN = {
    "accounts.ApiToken.user",
    "accounts.BackupCode.user",
    "accounts.SecondFactor.user",
    "accounts.StaffInvitation.accepted_by",
    "accounts.EmailCode.user",
    "accounts.User_groups.user",
    "accounts.User_user_permissions.user",
    "checkout.Payment.buyer",
    "journal.JournalEntry.person",
    "line.Entry.buyer",
    "mailings.Recipient.person",
    "tickets.MoveNotice.buyer",
    "tickets.Reservation.buyer",
}
MARKS = ["wanda", "Wanda", "Zebra"]  # in every name and address of the person below


@pytest.fixture
def person(user_make: Callable[..., User]) -> User:
    return user_make(username="wanda", email="wanda+zoo@Zebra.example", first_name="Wanda", last_name="Zebra")


def buy(user: User, ticket_type: TicketType, quantity: int = 2) -> Payment:
    api: APIClient = api_of(user)
    held = reserve(api, ticket_type, quantity, **{"Idempotency-Key": "wanda-1"}).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    payment = Payment.objects.get(pk=made["id"])
    pay(api, payment)
    assert work(payment).status == "SUCCESS"
    return payment


def message_to(
    ticket_type: TicketType, audience: Audience = Audience.TICKETS, *, with_holders: bool = False
) -> To:
    return To(
        event_id=ticket_type.event_id,
        kind=Kind.EVENT,
        audience=audience,
        ticket_type=None,
        with_holders=with_holders,
    )


def mails_sent() -> None:
    Receipt.objects.update(next_look_at=None)


def found_in_database(word: str) -> list[str]:
    """Return the columns of our tables that contain a word."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type IN ('text', 'character varying', 'jsonb', 'json')"
        )
        found = []
        for table, column in cursor.fetchall():
            cursor.execute(
                f'SELECT count(*) FROM "{table}" WHERE strpos("{column}"::text, %s) > 0',  # noqa: S608
                [word],
            )
            if cursor.fetchone()[0]:
                found.append(f"{table}.{column}")
        return found


def test_the_export_has_everything_but_secrets(person: User, ticket_type: TicketType) -> None:
    payment = buy(person, ticket_type)
    handed = Ticket.objects.order_by("pk")[0]
    path = f"/event/reservations/{payment.reservation_id}/tickets/{handed.pk}/hand-over/"
    assert api_of(person).post(path, {"email": "friend@example.org"}, format="json").status_code == 200
    call_command("person_export", str(person.pk), stdout=(out := StringIO()))
    tables = json.loads(out.getvalue())["tables"]

    assert tables["accounts.User"][0]["email"] == person.email
    assert [row["id"] for row in tables["tickets.Reservation"]] == [payment.reservation_id]
    assert [row["amount_minor"] for row in tables["checkout.Payment"]] == [payment.amount_minor]
    assert len(tables["admission.Ticket"]) == 2
    assert tables["checkout.Receipt"]
    assert person.password not in out.getvalue()
    assert not [key for key in ApiToken.objects.values_list("pk", flat=True) if key in out.getvalue()]
    serials = Ticket.objects.values_list("serial", flat=True)
    assert not [serial for serial in serials if serial in out.getvalue()], "a serial opens the door"


def test_the_export_has_nothing_of_others(
    person: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    other = user_make(username="somebody-else")
    buy(other, ticket_type)
    found = json.dumps(services.person_export(user_id=person.pk, now=person.date_joined), default=str)
    assert "somebody-else" not in found
    assert "tickets.Reservation" not in found


def test_nothing_leads_to_an_erased_person_and_the_accounts_are_right(
    person: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    payment = buy(person, ticket_type)
    connection.cursor().execute("UPDATE admission_ticket SET holder = 'Wanda Zebra'")
    LogEntry.objects.create(
        user=user_make(), content_type_id=_content_type(User), object_id=str(person.pk),
        object_repr="wanda", action_flag=CHANGE,
    )  # fmt: skip
    deed, now = next(iter(OrderRecord.What)), timezone.now()
    OrderRecord.objects.create(
        order_id=payment.reservation_id, actor=user_make(), what=deed, text="Wanda Zebra called", at=now
    )
    stock = Inventory.objects.values().get(pk=ticket_type.pk)
    mails_sent()
    assert all(found_in_database(word) for word in MARKS), "the words are there before"

    call_command("person_erase", str(person.pk), "--yes", stdout=StringIO())

    assert [found_in_database(word) for word in [*MARKS, "zebra"]] == [[], [], [], []]
    assert Inventory.objects.values().get(pk=ticket_type.pk) == stock
    assert Payment.objects.get(pk=payment.pk).amount_minor == payment.amount_minor
    heal()
    audit()


def test_nobody_prevents_an_erasure_by_a_username(person: User, user_make: Callable[..., User]) -> None:
    user_make(username=f"erased-{person.pk}")

    services.person_erase(user_id=person.pk)

    person.refresh_from_db()
    assert person.username.startswith(f"erased-{person.pk}-")
    assert not person.is_active


def test_nothing_leads_to_a_person_whose_tickets_changed_hands(
    person: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    friend = user_make()
    for giver, receiver in ((person, friend), (friend, person)):
        ticket = Ticket.objects.filter(reservation=buy(giver, ticket_type, 1).reservation).get()
        answer = api_of(giver).post(
            f"/event/reservations/{ticket.reservation_id}/tickets/{ticket.pk}/hand-over/",
            {"email": receiver.email, "holder": receiver.last_name or "Friend"},
            format="json",
        )
        assert answer.status_code == 200
    mails_sent()
    with pytest.raises(CommandError, match="a mail still has to be sent"):
        call_command("person_erase", str(person.pk), "--yes")
    services.mails_send()
    assert found_in_database(person.email) != []

    call_command("person_erase", str(person.pk), "--yes", stdout=StringIO())

    assert [found_in_database(word) for word in ("wanda+", "Wanda", "Zebra", "zebra")] == [[], [], [], []]
    assert set(Ticket.objects.values_list("handed_to", flat=True)) == {friend.email, Ticket.NOBODY}
    assert HandOverNotice.objects.filter(to=friend.email).exists()


@pytest.mark.parametrize("said", ["", "no\n"], ids=["no terminal", "no"])
def test_nobody_is_erased_unless_somebody_says_yes(
    buyer: User, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(said))

    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("person_erase", str(buyer.pk))

    assert User.objects.get(pk=buyer.pk).email == buyer.email != ""


@pytest.mark.parametrize("erased_first", [0, 1])
@pytest.mark.parametrize("is_account", [False, True])
def test_data_of_an_address_is_erased_with_the_last_person_who_has_it(
    is_account: bool,
    erased_first: int,
    user_make: Callable[..., User],
    ticket_type: TicketType,
    settings: Any,
) -> None:
    settings.MAILINGS_PER_MINUTE = 100_000
    address, staff = "family@zebra.example", user_make(is_staff=True)
    guest = {"email": "", "is_guest": True, "contact_email": address}
    couple = [user_make(**guest), user_make(**({"email": address.title()} if is_account else guest))]
    erased, other = couple[erased_first], couple[1 - erased_first]
    for each in (*couple, giver := user_make()):
        bought = buy(each, ticket_type, 1)
    given = Ticket.objects.get(reservation=bought.reservation)
    answer = api_of(giver).post(
        f"/event/reservations/{given.reservation_id}/tickets/{given.pk}/hand-over/",
        {"email": address, "holder": "Zoe"},
        format="json",
    )
    assert answer.status_code == 200
    services.mails_send()
    to = message_to(ticket_type, with_holders=True)
    mailings.mailing_send(to=to, staff_id=staff.pk, subject="Doors", text="At seven.", key="a" * 32)
    StaffInvitation.objects.create(
        email=address,
        role=Group.objects.create(name="Door"),
        invited_by=staff,
        created_at=timezone.now(),
        expires_at=timezone.now(),
    )
    assert services.person_kept(user_id=erased.pk).is_shared

    services.person_erase(user_id=erased.pk)

    assert not services.person_kept(user_id=other.pk).is_shared
    given.refresh_from_db()
    assert (given.handed_to, given.holder) == (address, "Zoe")
    assert HandOverNotice.objects.get(ticket=given, to=address)
    assert StaffInvitation.objects.exists()
    mail.outbox.clear()
    mailings.mailings_go_on()
    assert sorted(each.to[0].casefold() for each in mail.outbox) == sorted([address, giver.email])

    services.person_erase(user_id=other.pk)
    assert [found_in_database(word) for word in ("zebra", "Zebra", "Zoe")] == [[], [], []]


class TestTwoErasuresAtOnce:
    """Two people who share an address, erased at the same time: the last one takes what belongs to the address."""

    def erase_both(
        self,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        monkeypatch: pytest.MonkeyPatch,
    ) -> list[Any]:
        """Let each have its first locks before the other goes on, if it can; return the results."""
        guest = {"email": "", "is_guest": True, "contact_email": "family@zebra.example"}
        couple = [user_make(**guest), user_make(**guest)]
        for each in couple:
            buy(each, ticket_type, 1)
        Ticket.objects.update(handed_to="family@zebra.example", holder="Zoe")
        services.mails_send()
        original, arrived = accounts.user_anonymise, list[dict[str, int]]()

        def after_both(**given: int) -> None:
            arrived.append(given)
            done_or_waiting_for_a_lock(lambda: len(arrived) == 2)
            original(**given)

        monkeypatch.setattr(accounts, "user_anonymise", after_both)
        return together(*[partial(services.person_erase, user_id=each.pk) for each in reversed(couple)])

    def test_one_waits_for_the_other(
        self,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert self.erase_both(user_make, ticket_type, monkeypatch) == [None, None]
        assert [found_in_database(word) for word in ("zebra", "Zoe")] == [[], []]

    def test_control_if_each_locks_itself_first_they_wait_for_each_other(
        self,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(
            personal_data, "_lock_with_others", lambda user_id: accounts.user_lock(user_id=user_id)
        )
        results = self.erase_both(user_make, ticket_type, monkeypatch)

        assert [type(each.__cause__) for each in results if each is not None] == [DeadlockDetected]


def test_an_address_does_not_stay_for_a_guest_who_bought_nothing(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    guest = {"email": "", "is_guest": True, "contact_email": "ada@zebra.example"}
    user_make(**guest)  # of another device; deleted with its ended hold one day
    bought = user_make(**guest)
    buy(bought, ticket_type, 1)
    Ticket.objects.update(handed_to="ada@zebra.example", holder="Zoe")
    services.mails_send()
    assert not services.person_kept(user_id=bought.pk).is_shared

    services.person_erase(user_id=bought.pk)

    assert [(each.handed_to, each.holder) for each in Ticket.objects.all()] == [(Ticket.NOBODY, "")]


@pytest.mark.parametrize(
    ("audience", "state", "is_told"),
    [
        (Audience.EVERYONE, "revoked", True),
        (Audience.TICKETS, "revoked", False),
        (Audience.TICKETS, "admitted", True),
        (Audience.NOT_ADMITTED, "admitted", False),
        (Audience.NOT_ADMITTED, "valid", True),
    ],
)
def test_a_message_goes_to_whoever_else_has_the_address_if_it_is_for_them(
    audience: Audience,
    state: str,
    is_told: bool,
    user_make: Callable[..., User],
    ticket_type: TicketType,
    settings: Any,
) -> None:
    settings.MAILINGS_PER_MINUTE = 100_000
    guest = {"email": "", "is_guest": True, "contact_email": "family@zebra.example"}
    erased, other = user_make(**guest, language="en"), user_make(**guest, language="de")
    for each in (erased, other):
        buy(each, ticket_type, 1)
    services.mails_send()
    to, staff = message_to(ticket_type, audience), user_make(is_staff=True)
    mailings.mailing_send(to=to, staff_id=staff.pk, subject="Doors", text="At seven.", key="a" * 32)
    since = {
        "valid": {},
        "admitted": {"admitted_at": timezone.now()},
        "revoked": {"revoked_at": timezone.now()},
    }
    Ticket.objects.update(state=state, **since[state])

    services.person_erase(user_id=erased.pk)

    mail.outbox.clear()
    mailings.mailings_go_on()
    assert [each.to for each in mail.outbox] == ([["family@zebra.example"]] if is_told else [])
    recipient = Recipient.objects.get()
    assert (recipient.person_id, recipient.language) == ((other.pk, "de") if is_told else (erased.pk, "en"))


def test_a_trial_of_a_message_goes_to_nobody_else(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    author = user_make(email="family@zebra.example")
    buy(user_make(email="", is_guest=True, contact_email="family@zebra.example"), ticket_type, 1)
    services.mails_send()
    to = message_to(ticket_type)
    mailings.trial_send(to=to, staff=author, subject="Doors", text="At seven.", key="a" * 32)

    services.person_erase(user_id=author.pk)

    mail.outbox.clear()
    mailings.mailings_go_on()
    assert mail.outbox == []


def test_control_without_the_eraser_of_messages_their_addresses_stay(
    person: User, user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy(person, ticket_type)
    mails_sent()
    to, staff = message_to(ticket_type), user_make(is_staff=True)
    mailings.mailing_send(to=to, staff_id=staff.pk, subject="Doors", text="At seven.", key="a" * 32)
    monkeypatch.setattr(personal_data, "_erasers", [])

    services.person_erase(user_id=person.pk)

    assert found_in_database(person.email) == ["mailings_recipient.address"]


def test_an_erased_person_is_logged_out_and_cannot_log_in(person: User) -> None:
    api = api_of(person)
    services.person_erase(user_id=person.pk)
    assert api.get("/event/reservations/").status_code == 401
    answer = APIClient().post("/api-auth/login/", {"username": "wanda", "password": "correct horse"})
    assert answer.status_code == 400


def test_an_erased_person_can_be_refunded(
    person: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    payment = buy(person, ticket_type)
    mails_sent()
    services.person_erase(user_id=person.pk)
    staff = user_make(is_staff=True, is_superuser=True)
    services.refund_request(staff_id=staff.pk, payment_id=payment.pk, amount_minor=None, return_tickets=True)
    heal()
    assert Payment.objects.get(pk=payment.pk).status == "REFUNDED"
    services.mails_send()
    audit()


def test_nobody_is_erased_while_something_is_unfinished(person: User, ticket_type: TicketType) -> None:
    held = claim(person.pk, ticket_type)
    with pytest.raises(CommandError, match="tickets are reserved"):
        call_command("person_erase", str(person.pk), "--yes")
    assert User.objects.get(pk=person.pk).username == "wanda"
    Reservation.objects.filter(pk=held.reservation["id"]).delete()
    Inventory.objects.update(held=0)
    buy(person, ticket_type)
    with pytest.raises(CommandError, match="a mail still has to be sent"):
        call_command("person_erase", str(person.pk), "--yes")


def test_an_unknown_person_is_named() -> None:
    for command in (["person_erase", "999999", "--yes"], ["person_export", "999999"]):
        with pytest.raises(CommandError, match="There is no user 999999"):
            call_command(*command)


def test_each_reference_to_a_user_is_known() -> None:
    found = {
        personal_data.label_of(relation)
        for relation in User._meta.get_fields(include_hidden=True)
        if isinstance(relation, ForeignObjectRel)
    }
    assert found == OWN | personal_data.OF_STAFF


def test_control_without_the_step_for_reservations_the_address_stays(
    person: User, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Remove the step for reservations, as a negative control."""
    buy(person, ticket_type)
    mails_sent()
    monkeypatch.setattr(personal_data, "NAMING", {})
    services.person_erase(user_id=person.pk)
    assert "tickets_reservation.person_key" in found_in_database("wanda")


def _content_type(model: Any) -> int:
    from django.contrib.contenttypes.models import ContentType

    return int(ContentType.objects.get_for_model(model).pk)


class TestLine:
    """A person who waits in a line leaves it with the erasure, and gets nothing any more."""

    @pytest.fixture
    def wished(self, person: User, ticket_type_make: Callable[..., TicketType]) -> TicketType:
        """Return the type for which the person waits alone, in a line that was drawn."""
        [wished] = line_make(ticket_type_make, 5)
        enter(wished, person.pk)
        open_sale([wished])
        line_services.draw(event_id=wished.event_id)
        return wished

    def test_who_is_erased_leaves_the_line(self, person: User, wished: TicketType) -> None:
        services.person_erase(user_id=person.pk)
        serve_all(wished)

        assert states(wished.event_id) == ["left"]
        assert not Reservation.objects.exists()

    def test_control_without_that_step_the_line_gives_to_the_erased(
        self, person: User, wished: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(line, "entries_end", lambda **_: None)
        services.person_erase(user_id=person.pk)
        serve_all(wished)

        assert states(wished.event_id) == ["given"]

    def _race(self, person: User, wished: TicketType, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Erase the person while the giver has locked the entry, and has not given yet."""
        give, is_giving = tickets.orders_give, threading.Event()

        def once_the_erasure_waits(**given: Any) -> Any:
            is_giving.set()
            waiting_for_a_lock(1)
            return give(**given)

        def erase() -> None:
            assert is_giving.wait(60)
            services.person_erase(user_id=person.pk)

        monkeypatch.setattr(tickets, "orders_give", once_the_erasure_waits)
        now = timezone.now()
        serve = partial(line_services.serve, event_id=wished.event_id, hold=HOLD, now=now)
        return together(serve, erase)

    def test_what_is_given_at_that_moment_hinders_it(
        self, person: User, wished: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served, refused = self._race(person, wished, monkeypatch)

        assert (served, type(refused)) == (1, Unfinished)
        assert states(wished.event_id) == ["given"]
        person.refresh_from_db()
        assert person.is_active

    def test_control_in_the_other_order_giver_and_erasure_wait_for_each_other(
        self, person: User, wished: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        end, anonymise = line.entries_end, accounts.user_anonymise

        def anonymise_first(*, user_id: int) -> None:
            anonymise(user_id=user_id)
            end(buyer_id=user_id)

        monkeypatch.setattr(line, "entries_end", lambda **_: None)
        monkeypatch.setattr(accounts, "user_anonymise", anonymise_first)

        assert any(isinstance(each, OperationalError) for each in self._race(person, wished, monkeypatch))


class TestPages:
    @pytest.fixture
    def clerk(self, user_make: Callable[..., User]) -> Client:
        client = Client(headers={"accept": "text/html"})
        client.force_login(permit(user_make(), "accounts.handle_personal_data"))
        return client

    def test_a_person_is_found_exported_and_erased(
        self, clerk: Client, person: User, ticket_type: TicketType
    ) -> None:
        buy(person, ticket_type)
        mails_sent()
        place = f"/office/personal-data/{person.pk}/"
        assert place in clerk.get("/office/personal-data/?q=zebra").content.decode()
        exported = clerk.post(f"{place}export/")
        assert exported.headers["Content-Disposition"] == f'attachment; filename="person-{person.pk}.json"'
        assert exported.json()["tables"]["accounts.User"][0]["email"] == person.email
        assert person.email in clerk.get(place).content.decode()
        for wrong in ("", "someone@else.example", str(person.pk)):
            assert clerk.post(place, {"said": wrong}).status_code == 400
        person.refresh_from_db()
        assert person.is_active
        assert clerk.post(place, {"said": f" {person.email.upper()} "}).status_code == 302
        assert [found_in_database(word) for word in MARKS] == [[], [], []]
        audit()

    def test_a_guest_is_found_and_forgotten_by_an_address_that_was_proven_before(
        self, clerk: Client, user_make: Callable[..., User]
    ) -> None:
        proven = {"verified_email": "wanda@old.example", "contact_email": "w@new.example"}
        guest = user_make(username="guest-1", is_guest=True, email="", **proven)
        now = timezone.now()
        StaffInvitation.objects.create(
            email="Wanda@old.example",
            role=Group.objects.create(name="Door"),
            invited_by=user_make(),
            created_at=now,
            expires_at=now,
        )
        place = f"/office/personal-data/{guest.pk}/"
        assert place in clerk.get("/office/personal-data/?q=wanda@old").content.decode()
        assert clerk.post(place, {"said": "w@new.example"}).status_code == 302
        assert [found_in_database(word) for word in MARKS] == [[], [], []]

    def test_erasing_waits_for_what_is_unfinished(
        self, clerk: Client, person: User, ticket_type: TicketType
    ) -> None:
        claim(person.pk, ticket_type)
        place = f"/office/personal-data/{person.pk}/"
        answer = clerk.post(place, {"said": person.email})
        assert answer.status_code == 409
        assert "tickets are reserved" in answer.content.decode()
        person.refresh_from_db()
        assert person.is_active

    def test_staff_are_not_erased(self, clerk: Client, person: User) -> None:
        permit(person, "admission.use_door")
        answer = clerk.post(f"/office/personal-data/{person.pk}/", {"said": person.email})
        assert answer.status_code == 409
        person.refresh_from_db()
        assert person.is_active

    def test_an_invitation_and_a_second_factor_go_with_the_person(
        self, person: User, user_make: Callable[..., User]
    ) -> None:
        now, role = timezone.now(), Group.objects.create(name="Door")
        StaffInvitation.objects.create(
            email=person.email.upper(), role=role, invited_by=user_make(), created_at=now, expires_at=now
        )
        SecondFactor.objects.create(user=person, seed="s", last_step=0, made_at=now)
        services.person_erase(user_id=person.pk)
        assert not StaffInvitation.objects.exists()
        assert not SecondFactor.objects.exists()
        assert [found_in_database(word) for word in [*MARKS, "WANDA"]] == [[], [], [], []]
