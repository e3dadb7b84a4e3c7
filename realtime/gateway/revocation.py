"""Revocation: closes the sockets of users who may no longer watch.

Runs on Daphne's event loop, as two tasks of the hub; PostgreSQL is asked in a pool thread.

Note [Notified, then checked]: PostgreSQL sends a notification when a right to watch may have ended. On the channel
`principals` its text is the id of a user whose token, password, account or rights have changed. On the channel
`sessions` it is the hash of a session that has ended. While any socket has a credential, the hub listens, and
checks the credentials that a notification is about.

A notification may be lost with the connection. So all credentials are also checked every 30 seconds, and whenever
the hub begins to listen, which it does each minute with a new connection. While it has no connection on which
notifications arrive (overlord/kernel/listening.py), it checks all credentials each second. If a notification comes
while a socket is being admitted, this socket is checked once more afterwards (`changes`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable

import psycopg2
import psycopg2.extensions
from django.db import DatabaseError

from overlord.kernel import listening
from realtime.gateway import access
from realtime.gateway.access import Credential
from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.subscriber import Subscriber

logger = logging.getLogger(__name__)

PRINCIPALS = "principals"  # channels of PostgreSQL
SESSIONS = "sessions"
CHECK_SECONDS = 30.0  # between two checks of all credentials
NOT_LISTENING_SECONDS = 1.0  # between two checks of all, while no notification can arrive
GATHER_SECONDS = 0.1  # after a notification, so that one check serves those that follow at once
LISTEN_SECONDS = 1.0  # between two decisions whether to listen


class Revocation:
    """The check of one hub's credentials. See Note [Notified, then checked]."""

    def __init__(
        self,
        *,
        subscribers: Callable[[], Iterable[Subscriber]],
        close: Callable[[Subscriber, CloseCode], Awaitable[None]],
    ) -> None:
        self._subscribers = subscribers
        self._close = close
        self._loop = asyncio.get_running_loop()
        self._check_all_at = self._loop.time() + CHECK_SECONDS
        self._connection: psycopg2.extensions.connection | None = None
        self._fileno = -1  # kept here, because a lost connection no longer has it
        self._listen_at = 0.0  # when to listen on a new connection
        self._notified: set[str] = set()  # ids of users, hashes of sessions
        self._due = asyncio.Event()
        self.changes = 0  # the number of notifications so far, plus how often listening began

    async def listen_step(self) -> None:
        """Wait a second, then begin to listen, change the connection, or stop listening."""
        await asyncio.sleep(LISTEN_SECONDS)
        if not self._needed():
            self.stop_listening()
        elif self._connection is None or self._loop.time() >= self._listen_at:
            await self._listen()

    def _needed(self) -> bool:
        """Return whether any socket has a credential."""
        return any(subscriber.credential for subscriber in self._subscribers())

    async def _listen(self) -> None:
        """Listen on a new connection, then check all credentials. If the connection fails, check them too."""
        try:
            heard = await asyncio.to_thread(listening.listen, PRINCIPALS, SESSIONS, name="revocation")
        except DatabaseError:
            self.stop_listening()
            self._check_all()
            raise
        self.stop_listening()
        self._connection, self._fileno = heard, heard.fileno()
        self._loop.add_reader(self._fileno, self._receive)
        self._listen_at = self._loop.time() + listening.AGAIN_SECONDS
        self.changes += 1
        self._check_all()

    def _check_all(self) -> None:
        self._check_all_at = 0.0
        self._due.set()

    def stop_listening(self) -> None:
        """Close the connection on which notifications come, if there is one."""
        if self._connection is not None:
            self._loop.remove_reader(self._fileno)
            self._connection.close()
            self._connection = None

    def _receive(self) -> None:
        assert self._connection is not None  # noqa: S101
        try:
            self._connection.poll()
        except psycopg2.Error as error:
            logger.warning("Log-outs are noticed late until PostgreSQL is back: %s", str(error).strip())
            self.stop_listening()
            return
        while self._connection.notifies:
            notification = self._connection.notifies.pop()
            self.changes += 1
            if notification.channel == PRINCIPALS and not notification.payload.isdecimal():
                self._check_all_at = 0.0  # not from our triggers: somebody wants all to be checked
            self._notified.add(notification.payload)
            self._due.set()

    def check_soon(self, credential: Credential) -> None:
        """Check all credentials of this credential's user soon, after GATHER_SECONDS."""
        self._notified.add(str(credential.user_id))
        self._due.set()

    async def check_step(self) -> None:
        """Wait for a notification, or for the next check of all; then check."""
        try:
            async with asyncio.timeout_at(self._check_all_at):
                await self._due.wait()
                await asyncio.sleep(GATHER_SECONDS)
        except TimeoutError:
            pass
        self._due.clear()
        notified, self._notified = self._notified, set()
        everything = self._check_all_at <= self._loop.time()
        if everything:
            is_deaf = self._needed() and self._connection is None
            self._check_all_at = self._loop.time() + (NOT_LISTENING_SECONDS if is_deaf else CHECK_SECONDS)
        try:
            await self.check(None if everything else notified)
        except Exception:
            self._notified |= notified
            self._check_all_at = 0.0 if everything else self._check_all_at
            self._due.set()
            raise

    async def check(self, notified: Collection[str] | None = None) -> None:
        """Close the sockets whose session, token, account or permission has ended.

        `notified` has ids of users and hashes of sessions: only their sockets are checked. None: check all.
        """
        credentials = {
            subscriber: credential
            for subscriber in self._subscribers()
            if (credential := subscriber.credential) is not None
            and (notified is None or _is_notified(credential, notified))
        }
        codes = await access.ended([*credentials.values()])
        for subscriber, credential in credentials.items():
            if credential in codes:
                await self._close(subscriber, codes[credential])


def _is_notified(credential: Credential, notified: Collection[str]) -> bool:
    """Return whether one of the notifications is about this credential."""
    return str(credential.user_id) in notified or credential.session_hash in notified
