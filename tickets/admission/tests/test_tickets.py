"""Tickets are made with the payment of their reservation and revoked with its end, by any change (I9)."""

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.texts import CLEAR_LETTERS
from tests.clients import api_of
from tests.threads import together
from tickets import operations
from tickets.admission import codes, services
from tickets.admission.models import Key, Ticket
from tickets.admission.tests.admitting import give_back, paid, tickets_of, validate
from tickets.admission.tests.auditing import audit_tickets
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import claim, end, reserve

pytestmark = pytest.mark.django_db(transaction=True)


def shown(api: APIClient, reservation_id: int):
    return api.get(f"/event/reservations/{reservation_id}/tickets/")


def test_a_paid_reservation_has_one_ticket_a_seat(buyer: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type, 3)

    tickets = tickets_of(reservation)
    assert [ticket.seat for ticket in tickets] == [1, 2, 3]
    assert {(ticket.state, ticket.event_id) for ticket in tickets} == {("valid", ticket_type.event_id)}
    assert len({ticket.serial for ticket in tickets}) == 3
    assert all(set(ticket.serial) <= set(CLEAR_LETTERS) for ticket in tickets)
    audit_tickets()


def test_a_hold_has_no_tickets(buyer: User, ticket_type: TicketType) -> None:
    claim(buyer.pk, ticket_type, 2)

    assert Ticket.objects.count() == 0


def test_seats_that_are_put_back_on_sale_revoke_their_tickets(buyer: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type, 2)
    before = {ticket.changed for ticket in tickets_of(reservation)}
    give_back(reservation)

    assert {ticket.state for ticket in tickets_of(reservation)} == {"revoked"}
    assert min(ticket.changed for ticket in tickets_of(reservation)) > max(before)
    audit_tickets()


def test_late_money_makes_tickets_too(buyer: User, ticket_type: TicketType) -> None:
    reservation_id = claim(buyer.pk, ticket_type, 2).reservation["id"]
    end(buyer)
    with db.transaction():
        reservation = operations.reservation_lock(reservation_id=reservation_id)
        Reservation.objects.filter(pk=reservation_id).update(state="expired", ended_at=db.now())
        reservation.refresh_from_db()
        assert operations.order_validate_late(reservations=[reservation], now=db.now())

    assert len(tickets_of(reservation)) == 2
    audit_tickets()


def test_a_rolled_back_validation_leaves_no_ticket(buyer: User, ticket_type: TicketType) -> None:
    reservation_id = claim(buyer.pk, ticket_type, 2).reservation["id"]
    with pytest.raises(ZeroDivisionError), db.transaction():
        validate(order_id=reservation_id)
        assert Ticket.objects.count() == 2
        raise ZeroDivisionError

    assert Ticket.objects.count() == 0


def test_control_without_the_trigger_the_audit_fails(buyer: User, ticket_type: TicketType) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tickets_reservation DISABLE TRIGGER admission_reservation_changed")
        try:
            paid(buyer, ticket_type, 2)
        finally:
            cursor.execute("ALTER TABLE tickets_reservation ENABLE TRIGGER admission_reservation_changed")

    with pytest.raises(AssertionError):
        audit_tickets()


def test_the_migration_gives_earlier_paid_reservations_their_tickets_once(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    """Interrupt the migration after its first batch, run it twice at once, and run it again."""
    migration = import_module("tickets.admission.migrations.0002_tickets_of_paid_reservations")
    reservations = [paid(user_make(), ticket_type, quantity) for quantity in (1, 2, 3)]
    give_back(reservations[0])
    Ticket.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(migration.MAKE, [0, 1])
        assert cursor.fetchone() == (reservations[1].pk,)
    assert Ticket.objects.count() == 2

    def make() -> None:
        with connection.schema_editor(atomic=False) as editor:
            migration.make(apps, editor)

    together(make, make)
    make()

    audit_tickets()


# The API -------------------------------------------------------------------------------------------------
def test_the_api_shows_each_ticket_with_a_code_that_its_key_signed(
    api: APIClient, buyer: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type, 2)
    answer = shown(api, reservation.pk)

    assert answer.status_code == 200
    for ticket, row in zip(tickets_of(reservation), answer.json(), strict=True):
        content, raw = codes.code_read(row.pop("code"))
        [key] = APIClient().get(f"/door/keys/?event={ticket_type.event_id}").json()
        assert codes.is_signed(raw, bytes.fromhex(key["public_key"]))
        assert (content.key, content.event) == (key["id"], ticket_type.event_id)
        assert (content.ticket, content.issue) == (ticket.pk, 1)
        assert row == {
            "id": ticket.pk,
            "serial": ticket.serial,
            "state": "valid",
            "issue": 1,
            "holder": "",
            "handed_to": None,
            "holder_erased": False,
            "event": ticket_type.event_id,
            "ticket_type": ticket_type.pk,
            "admitted_at": None,
        }


def test_a_ticket_has_the_same_code_each_time(api: APIClient, buyer: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type, 2)

    assert shown(api, reservation.pk).json() == shown(api, reservation.pk).json()
    assert Key.objects.count() == 1


def test_a_revoked_ticket_shows_no_code(api: APIClient, buyer: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type)
    Ticket.objects.update(state="revoked", revoked_at=timezone.now())

    [row] = shown(api, reservation.pk).json()
    assert (row["state"], row["code"]) == ("revoked", None)


def test_nobody_sees_tickets_of_others_or_of_unpaid_orders(
    api: APIClient, buyer: User, user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    held = reserve(api, ticket_type).json()["id"]
    early = shown(api, held)
    reservation = paid(user_make(), ticket_type)
    foreign = shown(api, reservation.pk)

    assert (early.status_code, early.json()["code"]) == (409, "not_paid")
    assert foreign.status_code == shown(api, 2**63 - 1).status_code == shown(api, 2**63).status_code == 404
    assert shown(APIClient(), held).status_code == 401
    give_back(reservation)
    ended = shown(api_of(reservation.buyer), reservation.pk)
    assert (ended.status_code, ended.json()["code"]) == (410, "reservation_ended")


@pytest.mark.parametrize("event", ["0", "-1", "x", str(2**63)])
def test_a_malformed_event_has_no_keys(event: str) -> None:
    assert APIClient().get(f"/door/keys/?event={event}").status_code == 400


# Keys ----------------------------------------------------------------------------------------------------
def test_a_new_secret_signs_by_a_new_key_and_earlier_codes_stay_valid(
    api: APIClient, buyer: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type)
    earlier = shown(api, reservation.pk).json()[0]["code"]
    with override_settings(SECRET_KEY="another" * 10):
        now = timezone.now()
        [later] = services.tickets_get(buyer_id=buyer.pk, reservation_id=reservation.pk, now=now)

    assert later["code"] != earlier
    for code in (earlier, later["code"]):
        content, raw = codes.code_read(code)
        assert codes.is_signed(raw, bytes(Key.objects.get(pk=content.key).public_key))


def test_a_command_rotates_the_key(api: APIClient, buyer: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type)
    shown(api, reservation.pk)
    call_command("ticket_keys", str(ticket_type.event_id))
    assert [key.retired_at for key in Key.objects.all()] == [None, None]
    call_command("ticket_keys", str(ticket_type.event_id), "--retire")

    newest = Key.objects.latest("pk")
    assert [key.pk for key in Key.objects.filter(retired_at=None)] == [newest.pk]
    assert codes.code_read(shown(api, reservation.pk).json()[0]["code"])[0].key == newest.pk


def test_the_command_names_an_unknown_event() -> None:
    with pytest.raises(CommandError, match="There is no event 7"):
        call_command("ticket_keys", "7")


def test_a_retired_key_signs_nothing_more(buyer: User, ticket_type: TicketType) -> None:
    now = timezone.now()
    first = services.signing_key(event_id=ticket_type.event_id, now=now)
    Key.objects.update(retired_at=now + timedelta(seconds=1))

    assert services.signing_key(event_id=ticket_type.event_id, now=now).pk != first.pk
