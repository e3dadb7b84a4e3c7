"""Ask the fork server for processes. Runs in the supervisor's main thread, on Linux.

The fork server saves memory and time, but is not needed. If it does not work, each process is started without it.
"""

import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from overlord.embedded import processes
from overlord.embedded.forked_process import ForkedProcess
from overlord.embedded.processes import Child, Program

NAME = "imports"  # the name of the fork server's log
PATIENCE = 30.0  # seconds; on a slow machine, its imports may take that long


class ForkServer:
    """The fork server as the supervisor uses it. `start` starts a program as a fork if that is possible."""

    def __init__(self, *, env: Mapping[str, str], cwd: Path, log_dir: Path) -> None:
        self._env = env
        self._channel: socket.socket | None = None
        self._is_ready = False
        if sys.platform != "linux":
            return
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(PATIENCE)
        self._answers = self._channel.makefile("r", encoding="utf-8")
        with theirs:
            fd = theirs.fileno()
            argv = (sys.executable, "-m", "overlord.embedded.fork_server", str(fd))
            program = Program(name=NAME, argv=argv, env=env, cwd=cwd)
            self.child = processes.start(program, log_dir, keep=(fd,))

    def start(self, program: Program, log_dir: Path) -> Child:
        """Start the program as a fork, or without the fork server if that is not possible; return the child.

        A fork has read the settings already. So a program with another environment cannot be a fork.
        """
        if self._channel is None or not program.forked or program.env != self._env:
            return processes.start(program, log_dir)
        log = processes.prepare(program, log_dir)
        offset = log.stat().st_size if log.exists() else 0
        pid = self._ask(self._channel, program, log)
        if pid is None:
            return processes.start(program, log_dir)
        return Child(program=program, process=ForkedProcess(pid), log=log, log_offset=offset)

    def stop(self) -> None:
        """End the fork server. The processes that it started continue."""
        if self._channel:
            self._answers.close()
            self._channel.close()
            self._channel = None
            self.child.process.kill()  # kills only the fork server, not the processes that it started
            self.child.process.wait()

    def _ask(self, channel: socket.socket, program: Program, log: Path) -> int | None:
        """Return the pid of the new process. If the fork server does not answer, stop it and return None."""
        request = {
            "name": program.name,
            "argv": program.argv[1:],
            "cwd": str(program.cwd),
            "env": processes.environment(program, log),
            "log": str(log),
            "stop_signal": int(program.stop_signal),
            "niceness": program.niceness,
            "parent": os.getpid(),
        }
        try:
            if not self._is_ready:
                self._await_imports()
            channel.sendall(json.dumps(request).encode() + b"\n")
            return int(self._answers.readline())
        except (OSError, ValueError):  # the fork server has ended, or hangs
            self.stop()
            return None

    def _await_imports(self) -> None:
        """Wait until the process that imports has ended. It answers with the pid of its fork, which then serves."""
        pid = int(self._answers.readline())
        self.child.process.wait()
        self.child.process = ForkedProcess(pid)
        self._is_ready = True
