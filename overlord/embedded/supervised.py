"""Keep one program running: restart it when it ends, and give up when it keeps failing to start."""

import time
from collections.abc import Callable
from pathlib import Path

from overlord.embedded import processes
from overlord.embedded.processes import Child, Program

STARTED_AFTER_SECONDS = 10  # the uptime that counts as started
MAX_FAILED_STARTS = 5  # in a row
FIRST_RESTART_DELAY = 0.1  # seconds; each failed start doubles the delay


class SupervisedProcess:
    """One program that has to run all the time. `check` is called in a loop, in the main thread."""

    def __init__(self, program: Program, log_dir: Path, *, say: Callable[[str], None]) -> None:
        self._program = program
        self._log_dir = log_dir
        self._say = say
        self._failed_starts = 0
        self._restart_at: float | None = None
        self.child: Child = processes.start(program, log_dir)

    def check(self) -> None:
        """Restart the program if it has ended, after a delay.

        Raises ProcessFailedError when it ended too often before the uptime that counts as started.
        """
        if self._restart_at is not None:
            if time.monotonic() >= self._restart_at:
                self._restart_at = None
                self.child = processes.start(self._program, self._log_dir)
        elif not self.child.running:
            self._schedule_restart()

    def _schedule_restart(self) -> None:
        self.child.end_leftovers()
        uptime = time.monotonic() - self.child.started
        self._failed_starts = 1 if uptime >= STARTED_AFTER_SECONDS else self._failed_starts + 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise self.child.failure(f"keeps ending: {self.child.exit_reason}")
        self._restart_at = time.monotonic() + FIRST_RESTART_DELAY * 2 ** (self._failed_starts - 1)
        self._say(f"{self._program.name} ended ({self.child.exit_reason}). Restarting it.")
