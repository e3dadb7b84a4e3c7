"""Keep one program running: restart it when it ends, and give up if it repeatedly fails to start.

It runs in the supervisor's main thread. Some ends do not count as failures:

- If its disk is full, the program is restarted when there is room again.
- If a server that it needs does not work, the program is restarted again and again until the server works.
- If another program has taken its port, the program is restarted when the port is free. If the port is taken for
  longer than MAX_TAKEN_PORT_SECONDS, this is a failure.
"""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from overlord.embedded import disk, ports, processes
from overlord.embedded.processes import Child, ProcessFailedError, Program

STARTED_AFTER_SECONDS = 10  # a program that has run for this long has started successfully
MAX_FAILED_STARTS = 5  # without a successful start between them
FIRST_RESTART_DELAY = 0.1  # seconds; each failed start doubles the delay
FULL_DISK_DELAY = 2.0  # seconds between two checks of a full disk
NEEDED_SERVER_DELAY = 2.0  # seconds between two starts of a program that lacks a server
TAKEN_PORT_DELAY = 0.5  # seconds between two checks of a taken port
MAX_TAKEN_PORT_SECONDS = 30.0
BY_OTHERS = {0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}  # how a program ends if somebody ends it


def repair(child: Child) -> str:
    """Let a program that ended with an error remove the cause; return a sentence, or "" if nothing was repaired."""
    if child.process.returncode in BY_OTHERS:
        return ""
    return child.program.repair(child.last_lines(sys.maxsize))


class SupervisedProcess:
    """One program that has to run all the time. The main thread calls `check` in a loop."""

    def __init__(
        self,
        program: Program,
        log_dir: Path,
        *,
        say: Callable[[str], None],
        start: Callable[[Program, Path], Child] = processes.start,
    ) -> None:
        self._program = program
        self._log_dir = log_dir
        self._say = say
        self._start = start
        self._failed_starts = 0
        self._restart_at: float | None = None
        self._waits_for_room = False
        self._lacks_server = False
        self._waits_for_port_until: float | None = None
        self.child: Child = start(program, log_dir)

    def check(self) -> None:
        """Restart the program, after a delay, if it has ended.

        Raise ProcessFailedError after MAX_FAILED_STARTS failed starts in a row, and if it cannot be restarted.
        """
        if self._restart_at is not None:
            if time.monotonic() >= self._restart_at:
                self._restart()
        elif not self.child.running:
            self.child.end_leftovers()
            self._schedule_restart()
        elif self._waits_for_room and self._has_started():
            self._waits_for_room = False
            self._say(f"There is room again. {self._program.name} runs.")

    def _schedule_restart(self) -> None:
        if folder := self._full_folder():
            self._wait_for_room(folder)
            return
        if self._program.excused():
            self._wait_for_server()
            return
        self._lacks_server = False
        self._failed_starts = 1 if self._has_started() else self._failed_starts + 1
        if self._failed_starts >= MAX_FAILED_STARTS:
            raise self.child.failure(f"keeps ending: {self.child.exit_reason}")
        self._restart_at = time.monotonic() + FIRST_RESTART_DELAY * 2 ** (self._failed_starts - 1)
        self._say(f"{self._program.name} ended ({self.child.exit_reason}). Restarting it.")
        if repaired := repair(self.child):
            self._say(repaired)

    def _restart(self) -> None:
        if self._waits_for_room and any(map(disk.is_full, self._folders())):
            self._restart_at = time.monotonic() + FULL_DISK_DELAY
            return
        if self._program.port and ports.taken(self._program.port):
            self._wait_for_port(self._program.port)
            return
        self._waits_for_port_until = None
        try:
            self.child = self._start(self._program, self._log_dir)
        except OSError as error:
            folder = self._full_folder()
            if folder is None:
                raise ProcessFailedError(self._program.name, f"could not be started: {error}", "") from error
            self._wait_for_room(folder)
        else:
            self._restart_at = None

    def _has_started(self) -> bool:
        return time.monotonic() - self.child.started >= STARTED_AFTER_SECONDS

    def _wait_for_room(self, folder: Path) -> None:
        self._failed_starts = 0
        self._restart_at = time.monotonic() + FULL_DISK_DELAY
        if not self._waits_for_room:
            self._waits_for_room = True
            self._say(
                f"{self._program.name} ended: {disk.description(folder)}. It waits until there is room."
            )

    def _wait_for_server(self) -> None:
        self._failed_starts = 0
        self._restart_at = time.monotonic() + NEEDED_SERVER_DELAY
        if not self._lacks_server:
            self._lacks_server = True
            name = self._program.name
            self._say(
                f"{name} ended: a server that it needs does not work. It is started again until the server works."
            )

    def _wait_for_port(self, port: int) -> None:
        """Check the port again after TAKEN_PORT_DELAY; raise ProcessFailedError if it stays taken for too long."""
        now = time.monotonic()
        if self._waits_for_port_until is None:
            self._waits_for_port_until = now + MAX_TAKEN_PORT_SECONDS
            self._say(f"{self._program.name} waits: another program uses its port {port}.")
        elif now > self._waits_for_port_until:
            reason = f"cannot be restarted: another program keeps its port {port}"
            raise ProcessFailedError(self._program.name, reason, "")
        self._restart_at = now + TAKEN_PORT_DELAY

    def _full_folder(self) -> Path | None:
        """Return a folder of the program whose disk is full, or was full when it ended; None otherwise.

        Whether the disk was full is read from the log, but only for a program with data. The log of another program
        can quote the error of a server that has another disk.
        """
        full = next(filter(disk.is_full, self._folders()), None)
        if full is None and self._program.data and disk.NO_SPACE in self.child.last_lines():
            return self._program.data
        return full

    def _folders(self) -> list[Path]:
        return [self._program.data or self._log_dir, self._log_dir]
