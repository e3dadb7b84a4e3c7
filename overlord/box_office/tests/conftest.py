"""Payments that are not started, made by API as a buyer makes them."""

from collections.abc import Callable

import pytest
from rest_framework.test import APIClient

from checkout.models import Payment
from checkout.tests.paying import PAYMENTS
from tickets.models import TicketType


def payment_of(api: APIClient, types: list[TicketType]) -> Payment:
    """Reserve two tickets of each type as one order, and make its payment, not started."""
    items = [{"ticket_type": each.pk, "amount": 2} for each in types]
    order = api.post("/event/reservations/batch/", {"items": items}, format="json").json()["order"]
    made = api.post(PAYMENTS, {"reservation_id": order}, format="json").json()
    return Payment.objects.get(pk=made["id"])


@pytest.fixture
def payment(api: APIClient, ticket_type: TicketType) -> Payment:
    """Make a payment of an order of one type, 30.00 in all."""
    return payment_of(api, [ticket_type])


@pytest.fixture
def order_types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return three ticket types of one event, of 15.00, 10.00 and 0.01."""
    first = ticket_type_make()
    return [first, *(ticket_type_make(event=first.event, price_minor=price) for price in (1000, 1))]


@pytest.fixture
def order_payment(api: APIClient, order_types: list[TicketType]) -> Payment:
    """Make a payment of an order of three types."""
    return payment_of(api, order_types)
