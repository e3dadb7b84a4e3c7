"""Transactions, statements and locks of PostgreSQL, and constraint errors as domain errors.

Used in every process and thread. Django's `atomic` opens a transaction, joins one, or sets a savepoint, depending
on its caller. So only this module uses `atomic`; all other modules use the functions here, each of which does one
thing.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache, partial
from typing import Any

import psycopg2
import psycopg2.extensions
from django.db import IntegrityError, OperationalError, connection
from django.db import transaction as django_transaction
from django.db.models import Model

from overlord.kernel import listening
from overlord.kernel.connection_pool import ConnectionPool, is_lost
from overlord.kernel.errors import DomainError
from overlord.kernel.postgresql.standby import standby

logger = logging.getLogger(__name__)

# A write without content and without a lock. If commits wait for a standby, its commit waits until the standby has
# all earlier commits. A transaction that writes nothing would not wait.
AWAIT_STANDBY = """
SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' THEN
       pg_logical_emit_message(true, 'overlord', '') END AS reached
"""
LOCKS = 8  # the most advisory locks that the threads of a process hold at once
LOCK_PATIENCE = 30.0  # seconds; the longest wait for a free session in which to take a lock


class TransactionError(RuntimeError):
    """A function of this module was called inside or outside of a transaction, against its rule: a bug of ours."""


@contextmanager
def transaction(*, awaited: bool = True) -> Iterator[None]:
    """Open a transaction, and commit it at the end of the block. It cannot be nested.

    The use case opens it (a service, a command, an action of the admin); an operation never does.

    Raise CommitUnknown if the transaction is committed on this server, but perhaps on no standby. Raise
    StandbyAway, before anything is done, if the standby did not answer lately. A transaction that is not `awaited`
    does not wait for a standby: it is for writes that may be lost.
    """
    if awaited:
        standby.check(commits_await)
    with django_transaction.atomic(durable=True):
        if not awaited:
            rows("SET LOCAL synchronous_commit TO local")
        yield


def transaction_required() -> None:
    """Raise TransactionError unless a transaction is open.

    Each operation calls this first, except one that is a single autocommitted statement (`autocommit_required`).
    """
    if not connection.in_atomic_block:
        raise TransactionError("This works inside a transaction that its caller opens.")


def autocommit_required() -> None:
    """Raise TransactionError inside a transaction, and StandbyAway if the standby did not answer lately.

    An operation that is one autocommitted statement calls this first.
    """
    if connection.in_atomic_block:
        raise TransactionError("An autocommitted statement must not run inside a transaction.")
    standby.check(commits_await)


@contextmanager
def savepoint() -> Iterator[None]:
    """Roll back what the block did if it raises an error. Place it next to the `except` that expects the error."""
    transaction_required()
    with django_transaction.atomic():
        yield


@contextmanager
def errors_logged(what: str, number: int) -> Iterator[None]:
    """Log an error of the block and go on, so that one row of many does not hold up the others.

    `what` and `number` name the row in the log. While PostgreSQL or its standby is away, raise, because then all
    rows would fail.
    """
    try:
        yield
    except Exception:
        logger.exception("Failed in %s %s. The others go on.", what, number)
        statement("SELECT", ())  # raises if PostgreSQL or its standby is away


def after_commit(callback: Callable[[], Any]) -> None:
    """Call `callback` when the open transaction has committed.

    An error of the callback is only logged, with the callback's name. The caller and later callbacks go on, because
    the transaction is committed in any case.
    """
    transaction_required()
    # Not `robust=True`: Django names the callback by its __qualname__, which a partial does not have, and fails.
    django_transaction.on_commit(partial(_call, callback))


def _call(callback: Callable[[], Any]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("%s failed after the commit. What was committed stays.", _name(callback))


def _name(callback: Callable[..., Any]) -> str:
    while isinstance(callback, partial):
        callback = callback.func
    return f"{callback.__module__}.{getattr(callback, '__qualname__', type(callback).__qualname__)}"


def statement(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[dict[str, Any]]:
    """Run one autocommitted statement and return its rows, which are then committed.

    It is for a single write. An explicit transaction would need more round trips, and would lock the row during
    them. Raise the errors of `autocommit_required`, and CommitUnknown.
    """
    autocommit_required()
    return rows(sql, params)


def commits_await() -> None:
    """Wait until the synchronous standby, if there is one, has all earlier commits; raise CommitUnknown.

    Call it outside of a transaction, before you tell a client that an earlier request has made a write: perhaps the
    standby does not have this write yet.
    """
    rows(AWAIT_STANDBY)


def connection_release() -> None:
    """Give this thread's shared connection back, so that others can use it while this thread waits for a server.

    Do nothing inside a transaction, and in a process whose threads have a connection each.
    """
    connection.release()  # type: ignore[attr-defined]


def now() -> datetime:
    """Return the time of PostgreSQL's clock. Only this clock decides what is due."""
    instant: datetime = rows("SELECT clock_timestamp() AS now")[0]["now"]
    return instant


def rows(sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
    """Run a statement, in the open transaction if there is one; return its rows as dicts by column name."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        if cursor.description is None:
            return []
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def columns(model: type[Model], *, of: str) -> str:
    """Return the columns of a model as text for the SELECT of `instances`; `of` is the alias of the table."""
    return ", ".join(f'{of}."{field.column}"' for field in model._meta.concrete_fields)


def instances(sql: str, params: Sequence[Any] | Mapping[str, Any], *models: type[Model]) -> list[list[Any]]:
    """Run a SELECT of all columns of each model (`columns`); return for each row a list of the models' instances.

    If the SELECT has more columns, their values follow in the list.

    It is for reads that every order makes: the ORM builds the text of a query at each call, which takes longer than
    PostgreSQL needs to find a row by its key.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [_instances(row, models) for row in cursor.fetchall()]


def insert(instance: Model) -> None:
    """Insert a new instance of a model and set its key, as `save` does, but without signals.

    It is for writes that every order makes; see `instances`.
    """
    given = [
        field for field in instance._meta.concrete_fields if not field.primary_key or instance.pk is not None
    ]
    values = [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in given]
    with connection.cursor() as cursor:
        cursor.execute(_insert_text(type(instance), tuple(field.column for field in given)), values)
        [instance.pk] = cursor.fetchone()
    instance._state.adding, instance._state.db = False, connection.alias


@lru_cache
def _insert_text(model: type[Model], names: tuple[str, ...]) -> str:
    listed, places = ", ".join(f'"{name}"' for name in names), ", ".join(["%s"] * len(names))
    table, key = model._meta.db_table, model._meta.pk.column
    return f'INSERT INTO "{table}" ({listed}) VALUES ({places}) RETURNING "{key}"'  # noqa: S608


def update(model: type[Model], changes: Mapping[str, Any], **where: Any) -> int:
    """Set fields of the rows for which `where` is true, and raise their `version`; return how many rows changed.

    `where` gives a value for each field; a tuple means any of its values. It is for writes that every order makes;
    see `instances`.
    """
    return _update(model, changes, where, raised=', "version" = "version" + 1')


def update_unseen(model: type[Model], changes: Mapping[str, Any], **where: Any) -> int:
    """Set fields that clients do not see, as `update` does, but leave the `version` as it is."""
    return _update(model, changes, where, raised="")


def _update(model: type[Model], changes: Mapping[str, Any], where: Mapping[str, Any], *, raised: str) -> int:
    fields = {field.name: field for field in model._meta.concrete_fields}
    values = [fields[name].get_db_prep_save(value, connection) for name, value in changes.items()]
    asked = [list(value) if isinstance(value, tuple) else value for value in where.values()]
    several = tuple(isinstance(value, tuple) for value in where.values())
    with connection.cursor() as cursor:
        cursor.execute(_update_text(model, tuple(changes), tuple(where), several, raised), values + asked)
        changed: int = cursor.rowcount
    return changed


@lru_cache
def _update_text(
    model: type[Model],
    changes: tuple[str, ...],
    where: tuple[str, ...],
    several: tuple[bool, ...],
    raised: str,
) -> str:
    column = {field.name: f'"{field.column}"' for field in model._meta.concrete_fields}
    sets = ", ".join(f"{column[name]} = %s" for name in changes)
    asks = " AND ".join(
        f"{column[name]} = {'ANY(%s)' if many else '%s'}" for name, many in zip(where, several, strict=True)
    )
    return f'UPDATE "{model._meta.db_table}" SET {sets}{raised} WHERE {asks}'  # noqa: S608


def _instances(row: Sequence[Any], models: Sequence[type[Model]]) -> list[Any]:
    made, at = [], 0
    for model in models:
        fields = model._meta.concrete_fields
        values = list(row[at : at + len(fields)])
        for number, converted in _converted_fields(model):
            values[number] = converted.from_db_value(values[number], None, connection)
        made.append(model.from_db(connection.alias, [field.attname for field in fields], values))
        at += len(fields)
    return [*made, *row[at:]]


@lru_cache
def _converted_fields(model: type[Model]) -> list[tuple[int, Any]]:
    """Return those fields that Django converts after psycopg2 has read them, such as JSON, each with its index."""
    fields = enumerate(model._meta.concrete_fields)
    return [(number, field) for number, field in fields if hasattr(field, "from_db_value")]


def violated(error: IntegrityError) -> str | None:
    """Return the name of the violated constraint; None if PostgreSQL names none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return getattr(diagnostics, "constraint_name", None)


def violation_facts(error: IntegrityError) -> dict[str, Any]:
    """Return the facts that our own SQL has written as JSON into the error's detail; {} for none."""
    diagnostics = getattr(error.__cause__, "diag", None)
    facts: dict[str, Any] = json.loads(getattr(diagnostics, "message_detail", None) or "{}")
    return facts


@contextmanager
def constraint_errors(refusals: Mapping[str, DomainError]) -> Iterator[None]:
    """Replace an IntegrityError of the block by the domain error of its constraint; let other errors pass.

    `refusals` has the domain errors by the name of their constraint.
    """
    try:
        yield
    except IntegrityError as error:
        refusal = refusals.get(violated(error) or "")
        if refusal is None:
            raise
        raise refusal from error


class AdvisoryLock:
    """An advisory lock, in a session that does nothing else while it has the lock (DATABASE_DIRECT_URL).

    The lock ends with the session's connection.
    """

    def __init__(self, name: str) -> None:
        self._key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
        self._session: psycopg2.extensions.connection | None = None

    def is_mine(self) -> bool:
        """Take the lock if it is free; return whether this object holds it now.

        Raise OperationalError if PostgreSQL is away, or if no session was free within LOCK_PATIENCE.
        """
        if self._session is not None and is_lost(self._session):
            self._end(broken=True)
        if self._session is None:
            self._try()
        return self._session is not None

    def release(self) -> None:
        """Release the lock if this object holds it."""
        if self._session is None:
            return
        try:
            _row(self._session, "SELECT pg_advisory_unlock(%s)", self._key)
        except psycopg2.Error:
            self._end(broken=True)  # the lock ends with its connection
        else:
            self._end(broken=False)

    def _try(self) -> None:
        with connection.wrap_database_errors:
            self._session = _lock_sessions.take(partial(listening.connect, name="locks", direct=True))
            try:
                held = _lock_try(self._session, self._key)
            except BaseException:
                self._end(broken=True)
                raise
            if not held:
                self._end(broken=False)

    def _end(self, *, broken: bool) -> None:
        session, self._session = self._session, None
        if session is not None:
            _lock_sessions.give_back(session, broken=broken)


@contextmanager
def advisory_lock(name: str) -> Iterator[AdvisoryLock]:
    """Yield the lock of this name, and release it at the end. The block takes it by `is_mine`."""
    lock = AdvisoryLock(name)
    try:
        yield lock
    finally:
        lock.release()


def lock_sessions_close() -> None:
    """Close the idle connections in which locks were held. The next lock opens a new one."""
    _lock_sessions.close_idle()


def _lock_try(session: psycopg2.extensions.connection, key: int) -> bool:
    """Take the lock if it is free, and return whether it was. Raise OperationalError for a session of a pooler.

    A pooler may give each transaction another session, so the lock would belong to a session that others use.
    """
    pid, held = _row(session, "SELECT pg_backend_pid(), pg_try_advisory_lock(%s)", key)
    if pid != session.info.backend_pid:
        raise OperationalError("The lock belongs to a pooler's session and not to ours.")
    return bool(held)


def _row(session: psycopg2.extensions.connection, sql: str, *params: object) -> tuple[Any, ...]:
    with session.cursor() as cursor:
        cursor.execute(sql, params)
        row: tuple[Any, ...] = cursor.fetchall()[0]
    return row


_lock_sessions = ConnectionPool(most=LOCKS, seconds=LOCK_PATIENCE)
