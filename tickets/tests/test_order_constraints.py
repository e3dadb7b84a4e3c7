"""The database's rules for an order: one buyer, one event, one currency, and one lead."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def hold(buyer: User, ticket_type: TicketType, **fields: Any) -> Reservation:
    now = timezone.now()
    given = {"quantity": 1, "unit_price_minor": 1500, "currency": "EUR", **fields}
    return Reservation.objects.create(
        buyer=buyer, ticket_type=ticket_type, created=now, expires_at=now + timedelta(minutes=15), **given
    )


@pytest.fixture
def first(buyer: User, ticket_type: TicketType) -> Reservation:
    return hold(buyer, ticket_type)


@pytest.fixture
def other_type(ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]) -> TicketType:
    return ticket_type_make(event=ticket_type.event)


def refused(error: IntegrityError) -> str | None:
    return db.violated(error)


def test_an_order_has_reservations_of_one_buyer_and_event(
    buyer: User, first: Reservation, other_type: TicketType
) -> None:
    second = hold(buyer, other_type, lead=first)

    assert (first.order_id, second.order_id) == (first.pk, first.pk)


@pytest.mark.parametrize("fault", ["buyer", "event", "currency", "a lead that has a lead"])
def test_a_reservation_that_does_not_belong_to_its_order_is_refused(
    fault: str,
    buyer: User,
    first: Reservation,
    other_type: TicketType,
    user_make: Callable[..., User],
    ticket_type_make: Callable[..., TicketType],
) -> None:
    second = hold(buyer, other_type, lead=first)
    third = ticket_type_make(event=None if fault == "event" else other_type.event)
    given: dict[str, Any] = {
        "buyer": user_make() if fault == "buyer" else buyer,
        "lead": second if fault == "a lead that has a lead" else first,
        "currency": "USD" if fault == "currency" else "EUR",
    }

    with pytest.raises(IntegrityError) as error:
        hold(given.pop("buyer"), third, **given)

    assert refused(error.value) == "reservation_order_agrees"


def test_a_reservation_cannot_lead_an_earlier_one(
    buyer: User, first: Reservation, other_type: TicketType
) -> None:
    second = hold(buyer, other_type)

    with pytest.raises(IntegrityError) as error:
        Reservation.objects.filter(pk=first.pk).update(lead=second)

    assert refused(error.value) == "reservation_lead_came_first"


@pytest.mark.parametrize("lead", [None, "another"])
def test_a_reservation_never_changes_its_order(
    lead: str | None, buyer: User, first: Reservation, other_type: TicketType, user_make: Callable[..., User]
) -> None:
    another = hold(user_make(), other_type)
    second = hold(buyer, other_type, lead=first)

    with pytest.raises(IntegrityError) as error:
        Reservation.objects.filter(pk=second.pk).update(lead=another if lead else None)

    assert refused(error.value) == "reservation_order_agrees"


def test_an_order_changes_its_buyer_whole_or_not_at_all(
    buyer: User, first: Reservation, other_type: TicketType, user_make: Callable[..., User]
) -> None:
    second, account = hold(buyer, other_type, lead=first), user_make()

    for alone in (first, second):
        with pytest.raises(IntegrityError) as error:
            Reservation.objects.filter(pk=alone.pk).update(buyer=account)
        assert refused(error.value) == "reservation_order_agrees"
    Reservation.objects.filter(buyer=buyer).update(buyer=account)

    assert Reservation.objects.filter(buyer=account).count() == 2


def test_a_lead_exists(buyer: User, first: Reservation, other_type: TicketType) -> None:
    with pytest.raises(IntegrityError) as error:
        hold(buyer, other_type, lead_id=first.pk - 1)

    assert refused(error.value) == "reservation_order_agrees"


def test_a_lead_is_not_deleted_without_its_order(
    buyer: User, first: Reservation, other_type: TicketType
) -> None:
    hold(buyer, other_type, lead=first)

    with pytest.raises(IntegrityError) as error:
        db.rows("DELETE FROM tickets_reservation WHERE id = %s", [first.pk])

    assert refused(error.value) == "reservation_order_agrees"
    db.rows("DELETE FROM tickets_reservation")


def test_control_without_the_trigger_an_order_could_have_two_buyers(
    buyer: User, first: Reservation, other_type: TicketType, user_make: Callable[..., User]
) -> None:
    """Disable the trigger, as a negative control."""
    trigger = "reservation_order_agrees_when_added"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE tickets_reservation DISABLE TRIGGER {trigger}")
    try:
        hold(user_make(), other_type, lead=first)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE tickets_reservation ENABLE TRIGGER {trigger}")


def test_a_reservation_alone_is_an_order_of_its_own(api: APIClient, ticket_type: TicketType) -> None:
    made = reserve(api, ticket_type).json()

    assert made["order"] == made["id"]
    assert api.get(f"/event/reservations/{made['id']}/").json()["order"] == made["id"]
