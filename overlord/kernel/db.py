"""Transactions, and the database's constraint errors as domain errors.

Django's `atomic` opens a transaction, joins one, or sets a savepoint, depending on its caller. It appears in this
file only; everybody else uses the words defined here, each of which means one thing.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions
from django.db import IntegrityError, connection
from django.db import transaction as django_transaction

from overlord.kernel.errors import DomainError
from overlord.kernel.postgresql.base import reachability

logger = logging.getLogger(__name__)


class TransactionError(RuntimeError):
    """A function of this module was called where it does not apply: our bug, not a client's mistake."""


@contextmanager
def transaction() -> Iterator[None]:
    """Open a transaction and commit it at the end. Only services and commands use it; it cannot be nested."""
    with django_transaction.atomic(durable=True):
        yield


def transaction_required() -> None:
    """Raise TransactionError unless a transaction is open. Each operation begins with it."""
    if not connection.in_atomic_block:
        raise TransactionError("This works inside a transaction that its caller opens.")


@contextmanager
def savepoint() -> Iterator[None]:
    """Roll back to here when the block raises. Place it next to the `except` that expects the error."""
    transaction_required()
    with django_transaction.atomic():
        yield


def after_commit(callback: Callable[[], Any]) -> None:
    """Call back once the open transaction has committed.

    What the callback raises is logged with its name and stops neither the caller nor the callbacks after it: what
    was sold is sold, whether or not Redis could be told.
    """
    transaction_required()
    # Not `robust=True`: Django names the callback by its __qualname__, which a partial does not have, and fails.
    django_transaction.on_commit(partial(_call, callback))


def _call(callback: Callable[[], Any]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("%s failed after the commit, which stands.", _name(callback))


def _name(callback: Callable[..., Any]) -> str:
    while isinstance(callback, partial):
        callback = callback.func
    return f"{callback.__module__}.{getattr(callback, '__qualname__', type(callback).__qualname__)}"


def statement(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run one autocommitted statement and return its rows, which are committed by then.

    It is for a write that decides a race by itself: an explicit transaction would cost round trips while the
    contended row is locked. Raises TransactionError inside a transaction.
    """
    if connection.in_atomic_block:
        raise TransactionError("An autocommitted statement must not run inside a transaction.")
    return rows(sql, params)


def connection_release() -> None:
    """Give this thread's connection back between two transactions, so that none is held while others are asked.

    A process whose threads keep their connections keeps it.
    """
    connection.release()  # type: ignore[attr-defined]


def now() -> datetime:
    """Return the time by PostgreSQL's clock, which alone decides what is due."""
    instant: datetime = rows("SELECT clock_timestamp() AS now")[0]["now"]
    return instant


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
    """Run a statement, in the open transaction if there is one, and return its rows by column name."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def listen(*channels: str, name: str) -> psycopg2.extensions.connection:
    """Open a connection, not one of Django's, that receives the notifications of these channels.

    Raise django.db.OperationalError when PostgreSQL is away. `poll()` reads what has come into `notifies`, without
    waiting, and raises psycopg2.Error when the connection is lost. `name` is its name in pg_stat_activity.
    """
    params = {**connection.get_connection_params(), "cursor_factory": None, "application_name": name}
    with connection.wrap_database_errors:
        listening = reachability.attempt(partial(psycopg2.connect, **params))
        listening.autocommit = True
        with listening.cursor() as cursor:
            cursor.execute("; ".join(f'LISTEN "{channel}"' for channel in channels))
    return listening


def violated(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint, as in the models; None when PostgreSQL names none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)


def violation_facts(error: IntegrityError) -> dict[str, Any]:
    """Return the facts that our own SQL has put as JSON into the error's detail."""
    diagnostics = getattr(error.__cause__, "diag", None)
    facts: dict[str, Any] = json.loads(getattr(diagnostics, "message_detail", None) or "{}")
    return facts


@contextmanager
def constraint_errors(refusals: Mapping[str, DomainError]) -> Iterator[None]:
    """Raise the domain error that belongs to the violated constraint; let other errors pass unchanged."""
    try:
        yield
    except IntegrityError as error:
        refusal = refusals.get(violated(error) or "")
        if refusal is None:
            raise
        raise refusal from error


class AdvisoryLock:
    """A lock that belongs to this database connection; PostgreSQL drops it when the connection ends."""

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        self._held = False

    def is_mine(self) -> bool:
        """Return whether the lock is held here; take it if it is free."""
        if not self._held:
            self._held = rows("SELECT pg_try_advisory_lock(%s) AS held", [self._key])[0]["held"]
        return self._held

    def release(self) -> None:
        """Release the lock if it is held here."""
        if self._held:
            self._held = False
            rows("SELECT pg_advisory_unlock(%s)", [self._key])


@contextmanager
def advisory_lock(name: str) -> Iterator[AdvisoryLock]:
    """Offer the lock of that name, which `is_mine` takes, and release it at the end."""
    lock = AdvisoryLock(name)
    try:
        yield lock
    finally:
        lock.release()
