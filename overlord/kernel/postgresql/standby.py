"""The synchronous standby, as a process knows it: whether commits reach it, and when to try another commit.

Used from every thread of a process.

If PostgreSQL has a synchronous standby (`synchronous_standby_names`), a COMMIT waits until the standby has it. If
the wait is ended early, PostgreSQL answers with success and a warning: this server has the transaction, but a
fail-over perhaps loses it. So a warning in the answer to a commit raises CommitUnknown.

From then on, transactions raise StandbyAway before anything is done, so that threads do not all wait. Every second
one thread tries a write without content. When this write has reached the standby, transactions work again.
"""

import time
from collections.abc import Callable
from threading import Lock

from django.db import OperationalError

RETRY_SECONDS = 1.0
# The beginnings of harmless notices. PostgreSQL may translate these words, and psycopg2 does not give the SQLSTATE.
# A harmless notice in another language counts as a warning; so no warning is missed.
HARMLESS = ("DEBUG", "LOG", "INFO", "NOTICE")


class CommitUnknown(OperationalError):
    """The transaction is committed on this server, and perhaps on no standby: tell no client that it is done."""


class StandbyAway(OperationalError):
    """The standby did not answer lately, so nothing was done."""


class Notices:
    """The notices that PostgreSQL sends on one connection besides its answers. Only the last warning is kept.

    It replaces the list `notices` of psycopg2, which calls `append`.
    """

    def __init__(self) -> None:
        self.warning = ""

    def append(self, text: str) -> None:
        if not text.startswith(HARMLESS):
            self.warning = text.strip()

    def forget(self) -> None:
        self.warning = ""


class Standby:
    """Whether commits have reached the standby lately. All threads of a process share one object."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retry_at: float | None = None  # None: as far as we know, the standby answers

    @property
    def is_away(self) -> bool:
        return self._retry_at is not None

    def missed(self) -> None:
        """Record that a commit did not reach the standby in time."""
        with self._lock:
            self._retry_at = self._clock() + RETRY_SECONDS

    def check(self, probe: Callable[[], object]) -> None:
        """Return if the standby answers, as far as we know; else raise StandbyAway.

        While the standby is away, one thread calls `probe` every RETRY_SECONDS. `probe` returns when the standby
        has answered, and raises an error otherwise.
        """
        if self._retry_at is None:
            return
        with self._lock:
            if self._retry_at is not None:
                if self._clock() < self._retry_at:
                    raise StandbyAway("The synchronous standby did not answer a moment ago.")
                self._retry_at = float("inf")  # this thread tries, and no other
        found = False
        try:
            probe()
            found = True
        finally:
            with self._lock:
                self._retry_at = None if found else self._clock() + RETRY_SECONDS


standby = Standby()
