"""Child processes that end with us, and leave nothing behind when they die.

Three things together see to that. The kernel tells a child when we die (`launcher`). What a dead child left
behind comes to us and not to a distant pid 1 (`adopt_orphans`). And every process we started, with all that
it started in turn, carries the name of its log in its environment, so that it can be found again, also by a
later run, after we ourselves were killed.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

Identity = Literal["self", "namespace", "nobody"]

MARK = "OVERLORD_LOG"
LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_BYTES = 5_000_000
POLL = 0.05
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Workplace:
    """A folder, and the only executable that works in it: so PostgreSQL's processes are known, which
    overwrite their environment."""

    folder: Path
    executable: Path


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run, in which whole environment, and how to tell that it works."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prepare: Callable[[], None] = lambda: None  # called before each start
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    identity: Identity = "self"
    workplace: Workplace | None = None


class ProcessFailedError(Exception):
    """A program ended or never became ready; `log` holds the last lines it wrote."""

    def __init__(self, name: str, reason: str, log: str) -> None:
        self.name, self.reason, self.log = name, reason, log
        super().__init__(f"{name} {reason}.\n{log}".rstrip())


@dataclass
class Child:
    """A program that runs, or ran, as our child."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int  # what stands before it was written by earlier runs
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, *, seconds: float = 60, given_up: Callable[[], bool] = lambda: False) -> None:
        """Will return once the program is ready, or once `given_up` says so.

        Raises ProcessFailedError when it ended, or was not ready within the seconds.
        """
        deadline = time.monotonic() + seconds
        while not given_up():
            if not self.running:
                raise self.failure(f"did not start: {self.end}")
            if self.program.ready():
                return
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {seconds:.0f} seconds")
            time.sleep(POLL)

    def stop(self, *, grace: float = 5) -> None:
        """Will end the program and all it started: kindly, and by force after the grace."""
        stop([self], grace=grace)

    def kill(self) -> None:
        """Will end the program and all it started at once, as a crash would."""
        if self.running:
            self.process.kill()
        self.process.wait()
        self.sweep()

    def sweep(self) -> None:
        """Will end what the dead program left behind, which would hold its port or its data."""
        _end(leftovers(self.log, self.program))

    def failure(self, reason: str) -> ProcessFailedError:
        return ProcessFailedError(self.program.name, reason, self.last_lines())

    @property
    def end(self) -> str:
        """Will say how the program ended, in words that fit after a colon."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by signal {-code}"
        return f"exit code {code}"

    def last_lines(self, count: int = 20) -> str:
        """Will give the last lines that this run of the program wrote."""
        with self.log.open("rb") as file:
            file.seek(self.log_offset)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def start(program: Program, log_dir: Path) -> Child:
    """Will start the program, writing to `<log_dir>/<name>.log`.

    Call it from a thread that lives as long as the child should: the main one.
    """
    program.prepare()
    log_dir.mkdir(parents=True, exist_ok=True)
    log = (log_dir / f"{program.name}.log").resolve()
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(program.stop_signal)))
    with log.open("ab") as output:
        process = subprocess.Popen(
            (*launch, program.identity, *program.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=program.cwd,
            env={**program.env, MARK: str(log)},
            start_new_session=True,  # a Ctrl-C is for us alone: we end our children in their order
        )
        return Child(program=program, process=process, log=log, log_offset=output.tell())


def run(
    program: Program, log_dir: Path, *, seconds: float = 300, given_up: Callable[[], bool] = lambda: False
) -> None:
    """Will run the program to its end; raises ProcessFailedError unless it ends well and in time."""
    child = start(program, log_dir)
    try:
        deadline = time.monotonic() + seconds
        while child.running and not given_up():
            if time.monotonic() > deadline:
                raise child.failure(f"did not end within {seconds:.0f} seconds")
            time.sleep(POLL)
        if not child.running and child.process.returncode != 0:
            raise child.failure(f"failed: {child.end}")
    finally:
        child.kill()


def stop(children: Iterable[Child], *, grace: float = 5, hurried: Callable[[], bool] = lambda: False) -> None:
    """Will end the children together, and kill those still there after the grace or when hurried."""
    children = list(children)
    for child in children:
        if child.running:
            child.process.send_signal(child.program.stop_signal)
    deadline = time.monotonic() + grace
    while any(child.running for child in children) and time.monotonic() < deadline and not hurried():
        time.sleep(POLL)
    for child in children:
        child.kill()


def adopt_orphans() -> None:
    """Will make this process the parent of whatever its children leave behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(children: Iterable[Child]) -> None:
    """Will bury the adopted processes that have ended, those that are not in the children, which see to
    themselves."""
    own = {child.pid for child in children}
    for process in psutil.Process().children():
        if process.pid not in own:
            _is_gone(process)


def leftovers(log: Path, program: Program) -> list[psutil.Process]:
    """Will find the processes that the program started and that outlived it."""
    return [
        process
        for process in psutil.process_iter()
        if _mark(process) == str(log) or _works_in(process, program.workplace)
    ]


def survivors(log_dir: Path, workplace: Workplace | None) -> list[psutil.Process]:
    """Will find what a killed run with this log folder, and this workplace, left running."""
    ours = str(log_dir.resolve()) + os.sep
    return [
        process
        for process in psutil.process_iter()
        if _mark(process).startswith(ours) or _works_in(process, workplace)
    ]


def end_survivors(processes: list[psutil.Process], *, grace: float = 5) -> None:
    """Will end the processes: kindly, and by force after the grace."""
    for process in processes:
        with _gone_or_foreign():
            process.terminate()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and not all(_is_gone(process) for process in processes):
        time.sleep(POLL)
    _end(processes)


def _end(processes: list[psutil.Process]) -> None:
    for process in processes:
        with _gone_or_foreign():
            process.kill()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not all(_is_gone(process) for process in processes):
        time.sleep(0.01)


def _is_gone(process: psutil.Process) -> bool:
    """Will say whether a process that is no `Child` has ended, and bury it if we adopted it.

    A zombie is gone: it holds neither port nor file, and in a container pid 1 may reap it late.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    with _gone_or_foreign():
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    return True


def _mark(process: psutil.Process) -> str:
    with _gone_or_foreign():
        mark: str = process.environ().get(MARK, "")
        return mark
    return ""


def _works_in(process: psutil.Process, workplace: Workplace | None) -> bool:
    if workplace is None:
        return False
    with _gone_or_foreign():
        at_work = (Path(process.cwd()), Path(process.exe()))
        return at_work == (workplace.folder.resolve(), workplace.executable.resolve())
    return False


@contextlib.contextmanager
def _gone_or_foreign() -> Iterator[None]:
    """Will pass over a process that has just ended, or that is another user's."""
    with contextlib.suppress(psutil.Error, OSError):
        yield
