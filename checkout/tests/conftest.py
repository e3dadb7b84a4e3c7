"""Payments that are not started."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from checkout.models import Payment
from checkout.tests.paying import PAYMENTS
from tickets.models import TicketType
from tickets.tests.reserving import reserve


@pytest.fixture
def payment(api: APIClient, ticket_type: TicketType) -> Payment:
    """Make a payment, not started, of two tickets that are held."""
    held = reserve(api, ticket_type, 2).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    return Payment.objects.get(pk=made["id"])


@pytest.fixture
def order_types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return three ticket types of one event, of 15.00, 10.00 and 0.01, not in the order of their ids."""
    first = ticket_type_make(price_minor=1000)
    rest = [ticket_type_make(event=first.event, price_minor=price) for price in (1, 1500)]
    return [rest[1], first, rest[0]]


@pytest.fixture
def order_payment(api: APIClient, order_types: list[TicketType]) -> Payment:
    """Make a payment, not started, of an order of three types, two tickets each: 50.02 in all."""
    items = [{"ticket_type": each.pk, "amount": 2} for each in order_types]
    order = api.post("/event/reservations/batch/", {"items": items}, format="json").json()["order"]
    made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()
    return Payment.objects.get(pk=made["id"])
