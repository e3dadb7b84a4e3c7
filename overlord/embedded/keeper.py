"""Keeps programs running: starts again what dies, and gives up on what keeps dying."""

import time
from collections.abc import Callable
from pathlib import Path

from overlord.embedded import processes
from overlord.embedded.processes import Child, Program

STEADY_SECONDS = 10  # who lived this long had not failed to start
DEATHS = 5  # so many in a row, none of them steady, and we give up
FIRST_PAUSE = 0.1  # seconds before the first new start; each further one is twice as long


class Keeper:
    """One program that shall always run."""

    def __init__(self, program: Program, log_dir: Path, *, say: Callable[[str], None]) -> None:
        self._program = program
        self._log_dir = log_dir
        self._say = say
        self._deaths = 0
        self._due: float | None = None
        self.child: Child = processes.start(program, log_dir)

    def look(self) -> None:
        """Will start the program again if it has died, after a pause; raises ProcessFailedError when it
        keeps dying."""
        if self._due is not None:
            if time.monotonic() >= self._due:
                self._due = None
                self.child = processes.start(self._program, self._log_dir)
        elif not self.child.running:
            self._mourn()

    def _mourn(self) -> None:
        self.child.sweep()
        lived = time.monotonic() - self.child.started
        self._deaths = 1 if lived >= STEADY_SECONDS else self._deaths + 1
        if self._deaths >= DEATHS:
            raise self.child.failure(f"keeps ending: {self.child.end}")
        self._due = time.monotonic() + FIRST_PAUSE * 2 ** (self._deaths - 1)
        self._say(f"{self._program.name} ended ({self.child.end}); starting it again.")
