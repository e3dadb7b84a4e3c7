"""A process on a machine of the cluster."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from overlord.embedded import program
from overlord.embedded.processes import LAUNCHER
from tests.cluster import network

AGAIN_SECONDS = 2.0  # until a process that has ended is started again


@dataclass
class Process:
    """A process on a machine. It is started from the main thread, and ends with it."""

    name: str
    machine: str
    words: list[str]
    env: Mapping[str, str]
    log: Path
    as_ordinary_user: bool = False  # as PostgreSQL requires
    starts: int = 0
    held: bool = False  # we ended it, so it is not started again by itself
    _started_at: float = 0.0
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        identity = "namespace" if self.as_ordinary_user else "self"
        launch = [
            sys.executable,
            "-I",
            "-S",
            str(LAUNCHER),
            str(os.getpid()),
            str(int(signal.SIGKILL)),
            identity,
        ]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                network.inside(self.machine, *launch, *self.words),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(self.env), cwd=program.ROOT,
                start_new_session=True,
            )  # fmt: skip
        self.starts, self._started_at, self.held = self.starts + 1, time.monotonic(), False

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def may_start(self) -> bool:
        """Return whether it has ended by itself, and long enough ago to be started again."""
        return not self.held and not self.running and time.monotonic() - self._started_at > AGAIN_SECONDS

    def end(self) -> None:
        """Ask the process to finish its work and to end."""
        self.held = True
        if self._popen is not None:
            self._popen.terminate()

    def kill(self) -> None:
        """Kill the process alone; its children stay."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait(timeout=30)
