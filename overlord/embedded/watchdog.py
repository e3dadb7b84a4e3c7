"""The watchdog: it finds processes that hang, and kills them, so that the supervisor starts them again.

It runs in a thread of its own, because a server may need seconds to answer. Every CHECK_SECONDS it checks each
supervised program for three signs:

- the program, or a process that it started, is stopped (SIGSTOP);
- a process of ours no longer touches its liveness file (overlord/liveness.py);
- Caddy, PostgreSQL or Valkey no longer answers. A refused connection does not count: the server may be starting.

It counts checks and not seconds. So it kills nothing when the whole machine wakes from sleep.
"""

import contextlib
import socket
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import psutil

from overlord.embedded.ports import HOST
from overlord.embedded.processes import Child, Question

CHECK_SECONDS = 2.0
MAX_STOPPED_CHECKS = 2  # in a row; then a stopped process is killed
MAX_SILENT_CHECKS = 20  # in a row; then a process that hangs is killed
ANSWER_SECONDS = 3.0


class Watchdog:
    """Checks the supervised programs every CHECK_SECONDS, until `end` is called."""

    def __init__(self, children: Callable[[], list[Child]], *, say: Callable[[str], None]) -> None:
        self._children = children
        self._say = say
        self._ended = threading.Event()
        self._stopped: Counter[psutil.Process] = Counter()  # the number of checks in a row
        self._silent: Counter[psutil.Process] = Counter()
        self._touched: dict[psutil.Process, int] = {}  # the time, in ns, at which each file was last touched

    def begin(self) -> None:
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(CHECK_SECONDS):
            self.check()

    def check(self) -> None:
        """Check each program once, and kill the processes that hang."""
        by_parent = _descendants_by_parent()
        alive: set[psutil.Process] = set()
        for child in self._children():
            processes = _tree(child, by_parent)
            alive.update(processes)
            stopped = {process for process in processes if _is_stopped(process)}
            # A stopped process gets no question: its time-out would delay the check of the others.
            silent = set(self._silent_processes(child, [each for each in processes if each not in stopped]))
            for process in processes:
                self._stopped[process] = self._stopped[process] + 1 if process in stopped else 0
                self._silent[process] = self._silent[process] + 1 if process in silent else 0
                self._kill_if_hanging(child, process)
        for seen in (self._stopped, self._silent, self._touched):
            for process in seen.keys() - alive:
                del seen[process]

    def _silent_processes(self, child: Child, processes: list[psutil.Process]) -> Iterator[psutil.Process]:
        """Yield the program's process if it does not answer, and each process with an untouched liveness file.

        No file counts while the program is excused. The file of a process that has ended is deleted.
        """
        question = child.program.question
        by_pid = {process.pid: process for process in processes}
        if question and child.pid in by_pid and not answers(question):
            yield by_pid[child.pid]
        for file, pid in child.program.liveness_files():
            process = by_pid.get(pid)
            with contextlib.suppress(FileNotFoundError):
                if process is None:
                    if not psutil.pid_exists(pid):
                        file.unlink()
                elif not self._has_touched(process, file.stat().st_mtime_ns) and not child.program.excused():
                    yield process

    def _has_touched(self, process: psutil.Process, touched_ns: int) -> bool:
        before, self._touched[process] = self._touched.get(process), touched_ns
        return before != touched_ns

    def _kill_if_hanging(self, child: Child, process: psutil.Process) -> None:
        if self._stopped[process] >= MAX_STOPPED_CHECKS:
            reason = "is stopped"
        elif self._silent[process] >= MAX_SILENT_CHECKS:
            reason = "hangs"
        else:
            return
        self._stopped[process] = self._silent[process] = 0
        self._say(f"{child.program.name} {reason} (process {process.pid}). Killing it.")
        with contextlib.suppress(psutil.Error):
            process.kill()


def answers(question: Question) -> bool:
    """Return False if a server does not answer in time; True if it answers, or refuses or loses the connection."""
    try:
        with socket.create_connection((HOST, question.port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(question.request)
            connection.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True  # nothing listens. The supervisor itself notices that a process has ended
    return True


def _descendants_by_parent() -> dict[int, list[psutil.Process]]:
    found: dict[int, list[psutil.Process]] = defaultdict(list)
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found[process.ppid()].append(process)
    return found


def _tree(child: Child, by_parent: dict[int, list[psutil.Process]]) -> list[psutil.Process]:
    """Return the program's process and all its descendants; [] if it has ended."""
    try:
        found = [psutil.Process(child.pid)]
    except psutil.NoSuchProcess:
        return []
    for process in found:
        found.extend(by_parent.get(process.pid, []))
    return found


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False
