"""The look of the shop, as staff have set it. Each process keeps it in memory for a second.

So a page usually needs no query for the look. This module runs in the threads of the web processes and of the
workers. After a second, one thread reads the look again, while the others use the old one. While PostgreSQL cannot
be reached, all pages, also error pages, have the last look that was read.
"""

import time
from threading import Lock
from typing import Any

from django.db import Error

from overlord.shop.models import Look

SECONDS = 1.0


class Memory:
    """The look in the memory of one process."""

    def __init__(self) -> None:
        self._look = Look()
        self._ends_at = 0.0  # when to read the look again, by time.monotonic(); 0.0: at once
        self._reading = Lock()

    def current(self) -> Look:
        """Return the look. Read it first if the one in memory is too old."""
        if time.monotonic() < self._ends_at or not self._reading.acquire(blocking=self._ends_at == 0):
            return self._look
        try:
            if time.monotonic() >= self._ends_at:
                self.remember(self._read())
        finally:
            self._reading.release()
        return self._look

    def remember(self, look: Look, *, seconds: float | None = None) -> None:
        """Keep this look in memory for `seconds`; by default for SECONDS."""
        self._look = look
        self._ends_at = time.monotonic() + (SECONDS if seconds is None else seconds)

    def forget(self) -> None:
        """Read the look again at the next call of `current`."""
        self._ends_at = 0.0

    def _read(self) -> Look:
        try:
            return Look.objects.filter(pk=1).first() or Look()
        except Error:
            return self._look


_memory = Memory()
current = _memory.current
remember = _memory.remember
forget = _memory.forget


def envelope() -> dict[str, Any]:
    """Return the sender and the reply address of a mail, as arguments of Django's EmailMessage."""
    look = current()
    return {"from_email": look.sender, "reply_to": [look.reply_to] if look.reply_to else None}
