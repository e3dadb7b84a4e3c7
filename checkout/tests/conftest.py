"""A payment to try things on."""

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
