"""The cache of API tokens: each process keeps the user of a token until PostgreSQL notifies it of a change.

It runs in the threads of the web processes. The threads of a process share one cache and one LISTEN connection.
In this module, a token is a text: the hash of the token's key.

Note [Invalidation]: triggers notify the channel `principals` whenever a token is deleted, a user is deactivated,
a password changes or a right is taken away, also in the admin or in psql (sql/principal_changed.sql). The cache
reads the notifications from its LISTEN connection before each answer. To read this socket costs much less than a
query for each request. While the cache cannot listen, it keeps nothing, and reads PostgreSQL each time.

Note [Used]: while a token is used, the cache reads it again every ten minutes, and records the use in its row.
PostgreSQL sends no notification for this.

Note [Heard]: before the cache keeps anything, a notification that it sends to itself must arrive
(overlord/kernel/listening.py). Each minute the cache opens a new connection, which must pass the same check. Then
it drops all that it has kept, because the earlier connection may have lost a notification without an error. This
costs one query a minute for each token in use.
"""

import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import ClassVar

import psycopg2
import psycopg2.extensions
from django.db import DatabaseError
from django.db import connection as django_connection

from overlord.kernel import db, listening

logger = logging.getLogger(__name__)

CHANNEL = "principals"
CAPACITY = 20_000  # tokens that a process keeps: about 10 MB
RETRY_SECONDS = 1.0  # between two attempts to listen
USED_SECONDS = 600.0  # between two records of a token's use

SELECT = (
    "SELECT u.id AS pk, u.is_staff, u.is_guest, t.second_factor,"
    " EXTRACT(EPOCH FROM t.expires_at - statement_timestamp())::float8 AS seconds,"
    " EXTRACT(EPOCH FROM statement_timestamp() - coalesce(t.last_used_at, t.created_at))::float8 AS unused"
    " FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id AND u.login_epoch = t.login_epoch"
    " WHERE t.key_hash = %s AND t.expires_at > statement_timestamp() AND u.is_active"
)

USED = (
    "UPDATE accounts_apitoken SET last_used_at = statement_timestamp() WHERE key_hash = %s"
    " AND coalesce(last_used_at, created_at) < statement_timestamp() - make_interval(secs => %s)"
)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """What a request needs to know of an active user. `second_factor`: whether it was shown for the token."""

    pk: int
    is_staff: bool
    is_guest: bool
    second_factor: bool

    is_active: ClassVar[bool] = True
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


class TokenCache:
    """The principals of one process by token, and its LISTEN connection. See Note [Invalidation]."""

    def __init__(self) -> None:
        self._lock = Lock()
        # By token, with the monotonic time until which to keep the principal.
        self._principals: dict[str, tuple[Principal, float]] = {}
        self._tokens: dict[int, set[str]] = {}  # by user id
        self._notifications = 0  # rises with each notification, and each time when tokens are dropped
        self._connection: psycopg2.extensions.connection | None = None
        self._listen_at = 0.0  # when to open the next connection, by time.monotonic()

    def principal_of(self, token: str) -> Principal | None:
        """Return the active user who owns the API token with this hash; None if there is none."""
        if django_connection.in_atomic_block:
            found = _read(token)  # not kept, because the open transaction may be rolled back
            return found[0] if found else None
        self._listen()
        with self._lock:
            is_listening = self._receive()
            kept, notifications = self._principals.get(token), self._notifications
        if kept is not None and time.monotonic() < kept[1]:
            return kept[0]
        found = _read(token)
        if found is None:
            return None
        principal, until, is_due = found
        if is_due:
            _note_use(token)
        if is_listening:
            with self._lock:
                # A notification that came during the read may be about this token.
                if self._receive() and self._notifications == notifications:
                    self._keep(token, principal, until)
        return principal

    def drop(self, token: str) -> None:
        """Drop one token now."""
        with self._lock:
            if (kept := self._principals.get(token)) is not None:
                self._drop(token, kept[0].pk)
            self._notifications += 1  # so that no other thread keeps what it has just read

    def drop_user(self, user_id: int) -> None:
        """Drop all tokens of a user now."""
        with self._lock:
            self._apply(str(user_id))

    def close(self) -> None:
        """Drop all tokens and stop listening until the next look-up."""
        with self._lock:
            self._drop_all()
            if self._connection is not None:
                self._connection.close()
            self._connection, self._listen_at = None, 0.0

    def _listen(self) -> None:
        """Listen on a new connection, when it is time. Meanwhile other threads go on. See Note [Heard]."""
        with self._lock:
            if time.monotonic() < self._listen_at:
                return
            self._listen_at = float("inf")
        heard = None
        try:
            heard = listening.listen(CHANNEL, name=CHANNEL)
        except DatabaseError as error:
            logger.warning("Tokens are not cached: %s", str(error).strip())
        finally:
            with self._lock:
                self._replace(heard)

    def _replace(self, heard: psycopg2.extensions.connection | None) -> None:
        """Drop all that was kept, and listen on the connection `heard`; None: do not listen until the next try."""
        self._drop_all()
        if self._connection is not None:
            self._connection.close()
        self._connection = heard
        seconds = RETRY_SECONDS if heard is None else listening.AGAIN_SECONDS
        self._listen_at = time.monotonic() + seconds

    def _receive(self) -> bool:
        """Apply the notifications that have come, and return True; return False while the cache cannot listen."""
        if self._connection is None:
            return False
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            logger.warning("Tokens are not cached until PostgreSQL can be reached: %s", str(error).strip())
            self._connection = None
            self._listen_at = min(self._listen_at, time.monotonic() + RETRY_SECONDS)
            self._drop_all()
            return False
        while self._connection.notifies:
            self._apply(self._connection.notifies.pop().payload)
        return True

    def _apply(self, payload: str) -> None:
        """Drop the tokens of the user whose id is `payload`. If `payload` is not an id, drop all tokens."""
        self._notifications += 1
        if not payload.isdecimal():  # "all", or a text that somebody sent by hand
            self._drop_all()
            return
        for token in self._tokens.pop(int(payload), ()):
            del self._principals[token]

    def _keep(self, token: str, principal: Principal, until: float) -> None:
        """Keep a principal. If CAPACITY is reached, drop the one that was kept first."""
        while len(self._principals) >= CAPACITY:
            oldest = next(iter(self._principals))
            self._drop(oldest, self._principals[oldest][0].pk)
        self._principals[token] = principal, until
        self._tokens.setdefault(principal.pk, set()).add(token)

    def _drop(self, token: str, user_id: int) -> None:
        del self._principals[token]
        self._tokens[user_id].discard(token)
        if not self._tokens[user_id]:
            del self._tokens[user_id]

    def _drop_all(self) -> None:
        self._principals.clear()
        self._tokens.clear()
        self._notifications += 1


def _read(token: str) -> tuple[Principal, float, bool] | None:
    """Read the principal of a token, the monotonic time until which to keep it, and whether to record its use now.

    Return None if the token is not valid. The principal may be kept until the token expires, or until its use has
    to be recorded again.
    """
    found = db.rows(SELECT, [token])
    if not found:
        return None
    seconds, unused = found[0].pop("seconds"), found[0].pop("unused")
    is_due = unused >= USED_SECONDS
    again = USED_SECONDS if is_due else USED_SECONDS - unused
    return Principal(**found[0]), time.monotonic() + min(seconds, again), is_due


def _note_use(token: str) -> None:
    """Record that a token is in use. If that fails, only log it."""
    try:
        db.statement(USED, [token, USED_SECONDS])
    except DatabaseError as error:
        logger.warning("The use of a token was not noted: %s", str(error).strip())


_cache = TokenCache()
principal_of = _cache.principal_of
drop = _cache.drop
drop_user = _cache.drop_user
close = _cache.close
