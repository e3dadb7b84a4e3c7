"""Rows that are older than some rules: migrations mend those that new constraints would refuse; old tokens stay.

Permissions that an earlier release named get their present names too.

One test covers all rules, because migrating the database back and forth takes most of its time.
"""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.state import ProjectState
from django.db.models import QuerySet
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [
    ("accounts", "0002_principal_changed"),  # names have no keys, and tokens are not hashed
    ("authtoken", "0004_alter_tokenproxy_options"),
    ("tickets", "0009_event_search"),  # there are no bounds
]
ACCOUNTS = """
INSERT INTO accounts_user (id, username, email, password, is_superuser, is_staff, is_active, first_name, last_name,
    date_joined)
SELECT id, username, email, '!', false, false, true, '', '', now()
  FROM (VALUES (1, 'strasse', 'a@example.org'), (2, 'straße', 'b@example.org'), (3, 'straße-2', 'a@ｅxample.org'),
               (4, repeat('ｔ', 150), ''), (5, repeat('t', 150), 'c@example.org')) AS old (id, username, email)
"""
OLD_KEY = "a" * 40
TOKEN = "INSERT INTO authtoken_token (key, created, user_id) VALUES (repeat('a', 40), now(), 3)"
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
VALUES (1, 4, 1, 5, 'held', now(), now(), 1)
"""


def test_old_rows_are_mended_and_old_tokens_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    renamed = {key: names for key, names in names_of_permissions().items() if len(names) > 1}
    assert {codename for _, _, codename in renamed} >= {"handle_personal_data", "control_line"}
    MigrationExecutor(connection).migrate(BEFORE)
    for statement in (ACCOUNTS, TOKEN, EVENTS, TYPES, INVENTORIES, RESERVATION):
        db.rows(statement)
    for key, names in renamed.items():
        assert permissions(key).update(name=names[0]) == 1

    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    _accounts_that_clashed_are_told_apart(said=capsys.readouterr().out)
    _what_broke_the_bounds_keeps_them()
    assert {key: permissions(key).get().name for key in renamed} == {key: renamed[key][-1] for key in renamed}


def names_of_permissions() -> dict[tuple[str, str, str], list[str]]:
    """Return the names that each permission of a model had, the present one last, by app, model and codename."""
    executor, names = MigrationExecutor(connection), defaultdict(list)
    state = ProjectState()
    for migration, _ in executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True):
        state = migration.mutate_state(state, preserve=False)
        for (app, model), described in state.models.items():
            for codename, name in described.options.get("permissions", ()):
                if name not in names[app, model, codename][-1:]:
                    names[app, model, codename].append(name)
    return names


def permissions(key: tuple[str, str, str]) -> QuerySet[Permission]:
    """Return the one permission with this app, model and codename."""
    app, model, codename = key
    return Permission.objects.filter(
        content_type__app_label=app, content_type__model=model, codename=codename
    )


def _accounts_that_clashed_are_told_apart(*, said: str) -> None:
    assert list(User.objects.order_by("pk").values_list("username", "email")) == [
        ("strasse", "a@example.org"),
        ("straße-2-2", "b@example.org"),
        ("straße-2", ""),
        ("ｔ" * 150, ""),
        ("t" * 148 + "-5", "c@example.org"),
    ]
    api = APIClient(headers={"Authorization": f"Token {OLD_KEY}"})
    assert api.get("/event/reservations/").status_code == 200, "a token goes on working"
    assert "Account 2: the username 'straße' equals an older one" in said


def _what_broke_the_bounds_keeps_them() -> None:
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
