"""The look of the shop in every process, as staff set it, at most a second old.

Runs in the threads of the web processes and of the workers. Each process remembers the row, so that a page costs no
query for it, and reads it again a second later. One thread reads; the others use the old value meanwhile. While
PostgreSQL cannot be reached, pages keep the last look, also error pages.
"""

import time
from threading import Lock
from typing import Any

from django.db import Error

from overlord.shop.models import Look

SECONDS = 1.0


class Memory:
    """The look that one process remembers."""

    def __init__(self) -> None:
        self._look = Look()
        self._ends_at = 0.0  # by time.monotonic
        self._reading = Lock()

    def current(self) -> Look:
        """Return the look; read it again when the remembered one is too old."""
        if time.monotonic() < self._ends_at or not self._reading.acquire(blocking=self._ends_at == 0):
            return self._look
        try:
            if time.monotonic() >= self._ends_at:
                self.remember(self._read())
        finally:
            self._reading.release()
        return self._look

    def remember(self, look: Look, *, seconds: float | None = None) -> None:
        """Use this look for so many seconds, before it is read again."""
        self._look = look
        self._ends_at = time.monotonic() + (SECONDS if seconds is None else seconds)

    def forget(self) -> None:
        """Read the look at the next call."""
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
