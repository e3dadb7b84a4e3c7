"""Rows from before the bounds: the migration mends what the new constraints would refuse."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from overlord.accounts.models import User
from overlord.kernel import db
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

EVENTS = """
INSERT INTO tickets_event (id, name, date, time_zone, currency, description, version) VALUES
    (1, E'Gala\\rx', '9999-12-31 23:59:59-05', 'UTC', 'EUR', '', 1), (2, '', '2030-01-01', 'UTC', 'JPY', '', 1)
"""
TYPES = """
INSERT INTO tickets_tickettype (id, event_id, name, price_minor, max_per_user) VALUES
    (1, 1, 'VIP', 1, 1), (2, 1, E'v\\nip', 2, 1), (3, 1, 'V ip', 3, 1), (4, 2, E'a\\nb', 9000000000000, 1)
"""
INVENTORIES = """
INSERT INTO tickets_inventory (ticket_type_id, capacity, held, sold, opens_at, closes_at, paused, version,
    reservations, reserved_tickets, revenue_minor, payments_failed, reservations_expired, reservations_paid)
SELECT id, 5, 0, 0, '9999-12-31 23:59:59-05', '2030-01-01', false, 1, 0, 0, 0, 0, 0, 0 FROM tickets_tickettype
"""
RESERVATION = """
INSERT INTO tickets_reservation (buyer_id, ticket_type_id, quantity, unit_price_minor, state, created, expires_at,
    version)
VALUES (%s, 4, 1, 5, 'held', now(), now(), 1)
"""


@pytest.fixture
def before() -> Iterator[None]:
    """Migrate tickets back to before the bounds."""
    MigrationExecutor(connection).migrate([("tickets", "0009_event_search")])
    yield
    Reservation.objects.all().delete()
    Event.objects.all().delete()


def test_what_the_constraints_would_refuse_is_mended(buyer: User, before: None) -> None:
    rows: list[tuple[str, list[Any]]] = [
        (EVENTS, []),
        (TYPES, []),
        (INVENTORIES, []),
        (RESERVATION, [buyer.pk]),
    ]
    for statement, values in rows:
        db.rows(statement, values)

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    last = datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert list(Event.objects.order_by("pk").values_list("name", "date")) == [
        ("Gala x", last),
        ("Event 2", datetime(2030, 1, 1, tzinfo=UTC)),
    ]
    assert list(TicketType.objects.order_by("pk").values_list("name", "price_minor")) == [
        ("VIP", 1),
        ("v ip", 2),
        ("V ip-3", 3),
        ("a b", 10**12),
    ]
    assert {row.closes_at - row.opens_at for row in Inventory.objects.all() if row.opens_at} == {
        timedelta(microseconds=1)
    }
    assert Reservation.objects.get().currency == "JPY"
