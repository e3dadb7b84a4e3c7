"""Who asks by an API token: read once, then remembered until PostgreSQL says that it changed.

Note [Dropped at once]: whatever ends a token, deactivates a user or changes a password or a right (a log-out, the
admin, a hand at psql), triggers notify the channel `principals` of it (migration 0002). Each process listens on a
connection of its own, and looks for notices before it believes what it remembers; that costs a look at a socket,
where asking PostgreSQL adds a sixth to a reservation. While it cannot listen, it remembers nothing.
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
MOST = 20_000  # remembered by a process: about 10 MB
RETRY_SECONDS = 1.0  # between two tries to listen
# A server that vanished without a word is noticed within ten seconds.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3}

SELECT = (
    "SELECT u.id AS pk, u.is_staff FROM authtoken_token t JOIN accounts_user u ON u.id = t.user_id"
    " WHERE t.key = %s AND u.is_active"
)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """An active user, as much of him as a request needs to know."""

    pk: int
    is_staff: bool

    is_active: ClassVar[bool] = True
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


class Memory:
    """What one process remembers, and its ear. See Note [Dropped at once]."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[str, Principal] = {}
        self._tokens: dict[int, set[str]] = {}  # by the id of the user whose they are
        self._notices = 0
        self._ear: psycopg2.extensions.connection | None = None
        self._retry_at = 0.0

    def of_token(self, key: str) -> Principal | None:
        """Will find the active user whose API token this is."""
        if django_connection.in_atomic_block:
            return _read(key)  # what may yet be rolled back must not be remembered
        with self._lock:
            listens = self._hear()
            found, notices = self._known.get(key), self._notices
        if found is not None:
            return found
        found = _read(key)
        if found is not None and listens:
            with self._lock:
                # A notice that came while it was read may have been of it.
                if self._hear() and self._notices == notices:
                    self._remember(key, found)
        return found

    def drop(self, key: str) -> None:
        """Will forget a token at once."""
        with self._lock:
            if (found := self._known.get(key)) is not None:
                self._drop(key, found.pk)
            self._notices += 1  # one who reads it now may have read it before it ended

    def forget(self) -> None:
        """Will forget all, and listen no more until somebody asks again."""
        with self._lock:
            self._forget()
            if self._ear is not None:
                self._ear.close()
            self._ear, self._retry_at = None, 0.0

    def _hear(self) -> bool:
        """Will heed the notices that have come; False while it cannot listen."""
        if self._ear is None:
            return self._listen()
        try:
            self._ear.poll()
        except psycopg2.Error as error:
            logger.warning("Principals are read anew until PostgreSQL can be heard: %s", str(error).strip())
            self._ear = None
            self._forget()
            return False
        while self._ear.notifies:
            self._heed(self._ear.notifies.pop().payload)
        return True

    def _heed(self, payload: str) -> None:
        self._notices += 1
        if not payload.isdecimal():  # somebody's own hand; better too much than too little
            self._forget()
            return
        for key in self._tokens.pop(int(payload), ()):
            del self._known[key]

    def _listen(self) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        self._retry_at = time.monotonic() + RETRY_SECONDS
        params = {**django_connection.get_connection_params(), **KEEPALIVE, "cursor_factory": None}
        try:
            self._ear = psycopg2.connect(**{**params, "application_name": CHANNEL})
            self._ear.autocommit = True
            with self._ear.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except psycopg2.Error as error:
            logger.warning("Principals are not remembered: %s", str(error).strip())
            self._ear = None
        return self._ear is not None

    def _remember(self, key: str, found: Principal) -> None:
        while len(self._known) >= MOST:
            oldest = next(iter(self._known))
            self._drop(oldest, self._known[oldest].pk)
        self._known[key] = found
        self._tokens.setdefault(found.pk, set()).add(key)

    def _drop(self, key: str, user_id: int) -> None:
        del self._known[key]
        self._tokens[user_id].discard(key)
        if not self._tokens[user_id]:
            del self._tokens[user_id]

    def _forget(self) -> None:
        self._known.clear()
        self._tokens.clear()
        self._notices += 1


def _read(key: str) -> Principal | None:
    found = db.rows(SELECT, [key])
    return Principal(**found[0]) if found else None


_memory = Memory()
of_token = _memory.of_token
drop = _memory.drop
forget = _memory.forget
