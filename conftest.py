"""Fixtures of every app's tests: a clean Valkey, and functions that create users, events and ticket types."""

import gc
import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from django.utils import timezone, translation
from pytest_django import DjangoDbBlocker
from rest_framework.test import APIClient

import overlord.celery  # noqa: F401  (makes its application the current one)
from overlord.accounts.models import User
from overlord.kernel import commit_watch, db, rate_limits, redis_client
from overlord.shop import look
from overlord.shop.models import Look
from tests import databases, servers
from tests.clients import api_of
from tickets import sold_out_cache
from tickets.admission import pdf_process
from tickets.models import Event, Inventory, TicketType

LEFT_OUT = ("database", "processes", "slow")  # by --fast
MAX_NAMED = 100  # characters of a value in the name of a test
_numbers = itertools.count(1)
pdf_process.IDLE_SECONDS = 600.0  # it takes a second to start
redis_client.SECONDS = 10.0  # a busy machine may stall for longer than a sale waits
# Tests share a connection, because a new session plans all again. `flush` resets its settings.
TransactionTestCase._should_reload_connections = lambda _self: False  # type: ignore[attr-defined]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="neither a database nor processes, and nothing slow")
    parser.addoption("--crash-table", action="store_true", help="every cell of checkout's crash table")
    parser.addoption("--cancelled", type=int, default=24, help="orders that are paid back at once")
    parser.addoption("--gate-pairs", type=int, default=30, help="of gates that scan one ticket at once")
    parser.addoption(
        "--former", help="the commit whose code runs on the new schema (tests/test_former_release.py)"
    )
    parser.addoption("--machine", default="", help="runs and steps of the stateful properties: 1000x60")
    parser.addoption("--operations", type=int, default=2000, help="of checkout's mixed run")


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was imported."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()
    pdf_process.end()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a long value by its length, since a test's name passes through pipes, the environment and logs."""
    return f"{argname} of {len(val)}" if isinstance(val, str | bytes) and len(val) > MAX_NAMED else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if servers.uses_database(item):
            item.add_marker(pytest.mark.database)
        # A busy machine can fail a test of whole processes. The summary lists each that passed on a second run.
        if item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.flaky(reruns=1))
    without = {*(LEFT_OUT if config.getoption("--fast") else ())}
    if not config.getoption("--crash-table"):
        without.add("crash_table")
    left_out = {item for item in items if without & {mark.name for mark in item.iter_markers()}}
    config.hook.pytest_deselected(items=[*left_out])
    items[:] = [item for item in items if item not in left_out]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Spare `--fast` the import of a module whose `pytestmark` leaves out all of its tests."""
    if not config.getoption("--fast") or not collection_path.name.startswith("test_"):
        return None
    marks = "".join(
        re.findall(r"^pytestmark = .*\n(?:[ \])].*\n)*", collection_path.read_text(), re.MULTILINE)
    )
    return True if any(f"mark.{name}" in marks for name in ("django_db", *LEFT_OUT)) else None


@pytest.fixture(scope="session")
def django_db_setup(
    postgres: None, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Make the test database, also for tests on the running system, which are not marked `django_db`."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
        kept = ExitStack()
        kept.enter_context(databases.migrated_kept())
    yield
    kept.close()
    databases.disconnect()
    databases.sessions_end()
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture(autouse=True)
def clean_memories() -> Iterator[None]:
    """Empty the run's own Valkey and the caches of this process, where another test left something.

    Replace a connection that broke, so that the tests that follow do not fail too.
    """
    if connection.connection is not None and connection.connection.closed:
        connection.close()
    redis_client.connection().flushall()
    cache.clear()
    sold_out_cache.forget()
    look.remember(Look(), seconds=3600)  # so that a page costs the same queries in each test
    translation.deactivate()  # a request leaves its language to its thread
    yield
    db.lock_sessions_close()
    commit_watch.watch.stop()


@pytest.fixture
def limits_on(settings: Any) -> Iterator[None]:
    """Limit how often something may be done, as the running system does. Nothing has been counted yet."""
    settings.RATE_LIMITS = True
    rate_limits.forget()
    yield
    rate_limits.forget()


@pytest.fixture
def user_make() -> Callable[..., User]:
    """Return a function that makes a user with a name of its own and the password `correct horse`."""

    def make(**fields: Any) -> User:
        name = fields.pop("username", f"user{next(_numbers)}")
        fields.setdefault("email", f"{name}@example.org")
        return User.objects.create_user(username=name, password="correct horse", **fields)

    return make


@pytest.fixture
def buyer(user_make: Callable[..., User]) -> User:
    return user_make()


@pytest.fixture
def api(buyer: User) -> APIClient:
    """Return an API client with a token of `buyer`."""
    return api_of(buyer)


@pytest.fixture
def ticket_type_make() -> Callable[..., TicketType]:
    """Return a function that makes an event with one ticket type on sale."""

    def make(
        *,
        capacity: int = 50,
        price_minor: int = 1500,
        max_per_user: int = 10,
        event: Event | None = None,
        **stock: Any,
    ) -> TicketType:
        if event is None:
            event = Event.objects.create(
                name=f"Event {next(_numbers)}", date=timezone.now() + timedelta(days=30), currency="EUR"
            )
        ticket_type = TicketType.objects.create(
            event=event, name=f"Type {next(_numbers)}", price_minor=price_minor, max_per_user=max_per_user
        )
        stock.setdefault("closes_at", event.date)
        Inventory.objects.create(ticket_type=ticket_type, capacity=capacity, **stock)
        return ticket_type

    return make


@pytest.fixture
def ticket_type(ticket_type_make: Callable[..., TicketType]) -> TicketType:
    return ticket_type_make()
