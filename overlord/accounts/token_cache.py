"""The cache of API tokens: each process keeps who a token belongs to until PostgreSQL says that it changed.

It runs in the threads of the web processes, which share one cache and one LISTEN connection.

Note [Invalidation]: what ends a token, deactivates a user or changes a password or a right (a log-out, the admin, a
statement in psql) fires triggers that notify the channel `principals` (migration 0002). The cache reads the
notifications from its LISTEN connection before it answers. That costs one look at a socket, where a query would add
a sixth to a reservation. While it cannot listen, it keeps nothing and reads PostgreSQL each time.
"""

import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

import psycopg2
import psycopg2.extensions
from django.db import connection as django_connection

from overlord.kernel import db

logger = logging.getLogger(__name__)

CHANNEL = "principals"
CAPACITY = 20_000  # tokens in a process: about 10 MB
RETRY_SECONDS = 1.0  # between two attempts to listen
# A server that disappears without closing the connection is noticed within ten seconds.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}

SELECT = (
    "SELECT u.id AS pk, u.is_staff FROM authtoken_token t JOIN accounts_user u ON u.id = t.user_id"
    " WHERE t.key = %s AND u.is_active"
)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """An active user, with only what a request needs to know."""

    pk: int
    is_staff: bool

    is_active: ClassVar[bool] = True
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


class TokenCache:
    """The principals of one process by token, and its LISTEN connection. See Note [Invalidation]."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._principals: dict[str, Principal] = {}
        self._tokens: dict[int, set[str]] = {}  # by user id
        self._notifications = 0
        self._connection: psycopg2.extensions.connection | None = None
        self._retry_at = 0.0

    def principal_of(self, key: str) -> Principal | None:
        """Find the active user who owns this API token; None when there is none."""
        if django_connection.in_atomic_block:
            return _read(key)  # what may still be rolled back must not be kept
        with self._lock:
            listening = self._receive()
            found, notifications = self._principals.get(key), self._notifications
        if found is not None:
            return found
        found = _read(key)
        if found is not None and listening:
            with self._lock:
                # A notification that came during the read may be about this token.
                if self._receive() and self._notifications == notifications:
                    self._keep(key, found)
        return found

    def drop(self, key: str) -> None:
        """Drop one token now."""
        with self._lock:
            if (found := self._principals.get(key)) is not None:
                self._drop(key, found.pk)
            self._notifications += 1  # a read that is under way may have seen the token before it ended

    def close(self) -> None:
        """Drop all tokens and stop listening until the next look-up."""
        with self._lock:
            self._drop_all()
            if self._connection is not None:
                self._connection.close()
            self._connection, self._retry_at = None, 0.0

    def _receive(self) -> bool:
        """Apply the notifications that have come; return False while the cache cannot listen."""
        if self._connection is None:
            return self._listen()
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            logger.warning("Tokens are not cached until PostgreSQL can be reached: %s", str(error).strip())
            self._connection = None
            self._drop_all()
            return False
        while self._connection.notifies:
            self._apply(self._connection.notifies.pop().payload)
        return True

    def _apply(self, payload: str) -> None:
        self._notifications += 1
        if not payload.isdecimal():  # sent by hand: dropping too much is safe
            self._drop_all()
            return
        for key in self._tokens.pop(int(payload), ()):
            del self._principals[key]

    def _listen(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        self._retry_at = time.monotonic() + RETRY_SECONDS
        params = {**django_connection.get_connection_params(), **KEEPALIVE, "cursor_factory": None}
        try:
            self._connection = psycopg2.connect(**{**params, "application_name": CHANNEL})
            self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except psycopg2.Error as error:
            logger.warning("Tokens are not cached: %s", str(error).strip())
            self._connection = None
        return self._connection is not None

    def _keep(self, key: str, found: Principal) -> None:
        while len(self._principals) >= CAPACITY:
            oldest = next(iter(self._principals))
            self._drop(oldest, self._principals[oldest].pk)
        self._principals[key] = found
        self._tokens.setdefault(found.pk, set()).add(key)

    def _drop(self, key: str, user_id: int) -> None:
        del self._principals[key]
        self._tokens[user_id].discard(key)
        if not self._tokens[user_id]:
            del self._tokens[user_id]

    def _drop_all(self) -> None:
        self._principals.clear()
        self._tokens.clear()
        self._notifications += 1


def _read(key: str) -> Principal | None:
    found = db.rows(SELECT, [key])
    return Principal(**found[0]) if found else None


_cache = TokenCache()
principal_of = _cache.principal_of
drop = _cache.drop
close = _cache.close
