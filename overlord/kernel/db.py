"""Words for transactions, each of which means one thing, and the database's refusals in the domain's words.

`atomic` means three things, depending on who called it; it appears in this file only.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection
from django.db import transaction as django_transaction

from overlord.kernel.errors import DomainError


class TransactionError(RuntimeError):
    """A transaction word was used where it does not hold: a bug of ours, not a client's mistake."""


@contextmanager
def transaction() -> Iterator[None]:
    """Will open a transaction and commit it at the end; refuses to nest. Only services and commands use it."""
    with django_transaction.atomic(durable=True):
        yield


def transaction_required() -> None:
    """Will insist on an open transaction, at the head of each operation, and open none."""
    if not connection.in_atomic_block:
        raise TransactionError("This works inside a transaction that its caller opens.")


@contextmanager
def savepoint() -> Iterator[None]:
    """Will roll back to here when the block raises; it stands beside the `except` that expects it."""
    transaction_required()
    with django_transaction.atomic():
        yield


def after_commit(callback: Callable[[], Any]) -> None:
    """Will call back once the open transaction has committed. A failure there is logged and fails nothing:
    what was sold is sold, whether or not Redis could be told."""
    transaction_required()
    django_transaction.on_commit(callback, robust=True)


def statement(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Will run one autocommitted statement and give its rows; refuses to run inside a transaction.

    What it returns has been committed. It is for the one write that decides a race by itself, where the
    round trips of an explicit transaction would be spent while the hot row is locked.
    """
    if connection.in_atomic_block:
        raise TransactionError("An autocommitted statement must not run inside a transaction.")
    return rows(sql, params)


def now() -> datetime:
    """Will read PostgreSQL's clock, which alone decides what is due."""
    instant: datetime = rows("SELECT clock_timestamp() AS now")[0]["now"]
    return instant


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
    """Will run a statement, in the open transaction if there is one, and give its rows by column name."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def violated(error: IntegrityError) -> str | None:
    """Will name the constraint that refused, as it is called in the models; None when PostgreSQL names none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)


@contextmanager
def constraint_errors(refusals: Mapping[str, DomainError]) -> Iterator[None]:
    """Will raise the domain error that belongs to the violated constraint's name; others pass unchanged."""
    try:
        yield
    except IntegrityError as error:
        refusal = refusals.get(violated(error) or "")
        if refusal is None:
            raise
        raise refusal from error


class AdvisoryLock:
    """A lock of this connection's that no row stands for; PostgreSQL drops it when the connection ends."""

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        self._held = False

    def is_mine(self) -> bool:
        """Will say whether the lock is held here, taking it if it is free."""
        if not self._held:
            self._held = rows("SELECT pg_try_advisory_lock(%s) AS held", [self._key])[0]["held"]
        return self._held

    def release(self) -> None:
        """Will give the lock back, if it is held here."""
        if self._held:
            self._held = False
            rows("SELECT pg_advisory_unlock(%s)", [self._key])


@contextmanager
def advisory_lock(name: str) -> Iterator[AdvisoryLock]:
    """Will offer the lock of that name, taken when `is_mine` is first asked, and give it back at the end."""
    lock = AdvisoryLock(name)
    try:
        yield lock
    finally:
        lock.release()
