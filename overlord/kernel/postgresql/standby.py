"""What a process knows of the synchronous standby: which commits are in doubt, and whether to try another commit.

Used from every thread of a process.

Where PostgreSQL commits synchronously (`synchronous_standby_names`), a COMMIT waits until a standby has it. When
that wait is ended early, the COMMIT is answered as a success, with a warning: it stands on this server, and a
fail-over loses it. So a warning in the answer to a commit raises CommitUnknown. From then on commits are tried
seldom, so that threads do not all wait: they raise StandbyAway before anything is done, until a write that means
nothing has reached the standby.
"""

import time
from collections.abc import Callable
from threading import Lock

from django.db import OperationalError

RETRY_SECONDS = 1.0
# PostgreSQL's words are translated, and psycopg2 does not give their SQLSTATE. So a harmless notice in another
# language counts as a warning, and no warning counts as harmless.
HARMLESS = ("DEBUG", "LOG", "INFO", "NOTICE")


class CommitUnknown(OperationalError):
    """It is committed here, and perhaps on no standby: nobody may be told that it is done."""


class StandbyAway(OperationalError):
    """The standby did not answer a moment ago; nothing was done."""


class Notices:
    """What PostgreSQL says besides its answers, on one connection (psycopg2's `notices`)."""

    def __init__(self) -> None:
        self.warning = ""

    def append(self, text: str) -> None:
        if not text.startswith(HARMLESS):
            self.warning = text.strip()

    def forget(self) -> None:
        self.warning = ""


class Standby:
    """Whether commits reached their standby lately."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._retry_at: float | None = None  # None: as far as we know, it is there

    @property
    def is_away(self) -> bool:
        return self._retry_at is not None

    def missed(self) -> None:
        """Note that a commit did not reach it in time."""
        with self._lock:
            self._retry_at = self._clock() + RETRY_SECONDS

    def admit(self, probe: Callable[[], object]) -> None:
        """Return when a commit is worth trying; raise StandbyAway when it is not, or what `probe` raises.

        While the standby is away one thread at a time probes, at most once in RETRY_SECONDS.
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
