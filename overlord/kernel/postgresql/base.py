"""Django's PostgreSQL backend, with shared connections and verified commits. Used from every thread.

If a process calls `share`, as workers do, its threads share connections. In all other processes each thread keeps a
connection of its own, as usual in Django. The pool is our own, because Django pools only connections of psycopg 3.

If the wait of a commit for a synchronous standby was ended early, the commit raises CommitUnknown (standby.py).
This holds for transactions, and for statements outside of a transaction.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg2
from django.conf import settings
from django.db import InternalError, OperationalError
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper
from psycopg2.errors import ReadOnlySqlTransaction

from overlord.kernel.connection_pool import ConnectionPool, is_lost
from overlord.kernel.postgresql.reachability import Reachability
from overlord.kernel.postgresql.standby import CommitUnknown, Notices, standby

reachability = Reachability()
_pool: ConnectionPool | None = None


def share(*, most: int, seconds: float) -> None:
    """Let the threads of this process share `most` connections from now on, and wait at most `seconds` for one."""
    global _pool
    _pool = ConnectionPool(most=most, seconds=seconds)


def share_no_more() -> None:
    """Let each thread have a connection of its own again, and close the shared connections that are idle."""
    global _pool
    if _pool is not None:
        _pool.close_idle()
    _pool = None


class _VerifiedCommits:
    """The part of a cursor that verifies commits: outside of a transaction, each statement commits."""

    db: "DatabaseWrapper"

    def _execute(self, *arguments: Any) -> Any:
        return self._verified(super()._execute, arguments)  # type: ignore[misc]

    def _executemany(self, *arguments: Any) -> Any:
        return self._verified(super()._executemany, arguments)  # type: ignore[misc]

    def _verified(self, execute: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.db.warnings_forget()
        try:
            result = execute(*arguments)
        except InternalError as error:
            if not _by_standby(error):
                raise
            self.db.connection.close()  # the next request looks for the primary again
            raise OperationalError("This server takes no writes: it is a standby, or read-only.") from error
        if not self.db.in_atomic_block:
            self.db.commit_verify()
        return result


def _by_standby(error: InternalError) -> bool:
    """Return whether the error means that the server refused to write, because it is a standby or read-only.

    If the server becomes a standby during a statement, it reports an internal error. Only the text of this error
    says why.
    """
    cause = error.__cause__
    return isinstance(cause, ReadOnlySqlTransaction) or "during recovery" in str(cause)


class Cursor(_VerifiedCommits, CursorWrapper):
    """Django's cursor, with verified commits."""


class DebugCursor(_VerifiedCommits, base.CursorDebugWrapper):
    """Django's cursor that records its statements, with verified commits."""


class SchemaEditor(DatabaseSchemaEditor):
    """Django's editor of the schema, but a migration that was interrupted between two indexes can run again."""

    sql_create_index_concurrently = DatabaseSchemaEditor.sql_create_index_concurrently.replace(
        "CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"
    )


class DatabaseWrapper(base.DatabaseWrapper):
    """The database as a thread uses it. If connections are shared, `close` gives the connection back."""

    SchemaEditorClass = SchemaEditor

    _taken_from: ConnectionPool | None = None

    def get_direct_params(self) -> dict[str, Any]:
        """Return the parameters of a connection to PostgreSQL itself and not to a pooler (DATABASE_DIRECT_URL)."""
        there = {**self.settings_dict, **settings.DATABASE_DIRECT, "NAME": self.settings_dict["NAME"]}
        params: dict[str, Any] = DatabaseWrapper(there, alias=self.alias).get_connection_params()
        return params

    @contextmanager
    def directly(self) -> Iterator[None]:
        """Connect to PostgreSQL itself, not to a pooler, within the block. No transaction may be open around it."""
        pooled = self.settings_dict
        self.close()
        self.settings_dict = {**pooled, **settings.DATABASE_DIRECT, "NAME": pooled["NAME"]}
        try:
            yield
        finally:
            self.close()
            self.settings_dict = pooled

    def get_new_connection(self, conn_params: Mapping[str, Any]) -> Any:
        connect = partial(_listen_for_warnings, partial(super().get_new_connection, conn_params))
        if _pool is None:
            return connect()
        self.isolation_level = IsolationLevel.READ_COMMITTED
        connection = _pool.take(connect)
        self._taken_from = _pool
        return connection

    def make_cursor(self, cursor: Any) -> Cursor:
        return Cursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> DebugCursor:
        return DebugCursor(cursor, self)

    def _commit(self) -> None:
        self.warnings_forget()
        super()._commit()  # type: ignore[misc]
        self.commit_verify()

    def warnings_forget(self) -> None:
        """Forget the warnings that came before a commit, because they are not about it."""
        if self.connection is not None:
            self.connection.notices.forget()

    def commit_verify(self) -> None:
        """Raise CommitUnknown if PostgreSQL answered the commit just made with a warning about the standby."""
        if self.connection is None or not (warning := self.connection.notices.warning):
            return
        if self._commits_wait():
            standby.missed()
            raise CommitUnknown(warning)

    def _commits_wait(self) -> bool:
        """Return whether commits wait for a standby. If they do not, a warning is not about a standby."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SHOW synchronous_standby_names")
                names = cursor.fetchall()
            if not self.connection.autocommit:
                self.connection.rollback()
        except psycopg2.Error:
            return True  # unknown: assume the worst
        return bool(names != [("",)])

    def close_if_unusable_or_obsolete(self) -> None:
        """Close the connection if it is too old or broken, or if the server has closed it.

        Django and Celery call this before and after each request and task.
        """
        if self.connection is not None and not self.in_atomic_block and is_lost(self.connection):
            self.close()
        super().close_if_unusable_or_obsolete()

    def release(self) -> None:
        """Give a shared connection back to the pool, unless a transaction is open. Keep any other connection."""
        if self._taken_from is not None and not self.in_atomic_block:
            self.close()

    def _close(self) -> None:
        if self._taken_from is None:
            super()._close()  # type: ignore[misc]
            return
        pool, self._taken_from = self._taken_from, None
        pool.give_back(self.connection, broken=self.errors_occurred)


def _listen_for_warnings(connect: Callable[[], Any]) -> Any:
    connection = reachability.attempt(connect)
    connection.notices = Notices()
    return connection
