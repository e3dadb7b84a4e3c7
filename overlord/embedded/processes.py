"""Start and stop child processes so that none of them outlives the supervisor.

Three mechanisms work together. The kernel ends a child when the supervisor dies (`launcher`). Orphans, which are
processes that an ended child leaves behind, become children of the supervisor and not of pid 1 (`adopt_orphans`).
Every process, and every process that it starts, has the path of its log in its environment: by this path, a later
run finds the processes that a killed run left behind.
"""

import contextlib
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from overlord.embedded.forked_process import ForkedProcess
from overlord.embedded.niceness import niceness_add
from overlord.liveness import FILE_VARIABLE

Identity = Literal["self", "namespace", "nobody"]

LOG_VARIABLE = "OVERLORD_LOG"
LAUNCHER = Path(__file__).with_name("launcher.py")
MAX_LOG_BYTES = 5_000_000
OPEN_FILES = 65_536
POLL_SECONDS = 0.05
SLOW_SECONDS = 10
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class ProcessMatch:
    """A working directory and an executable by which processes are recognised.

    It is for PostgreSQL, whose processes overwrite their environment.
    """

    folder: Path
    executable: Path


@dataclass(frozen=True)
class Question:
    """The bytes to send to a server's port: any answer shows that the server does not hang."""

    port: int
    request: bytes


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program: its command, its whole environment, and how to find out that it is ready and does not hang.

    `liveness` is the path of the files that its processes touch, without the pid (overlord/liveness.py). `excused`
    returns true while a server that the program needs does not work: then the files may be old, and the program may
    end without having failed. It listens on `port`. The greater its `niceness`, the less of busy cores it gets. It
    has `ready_seconds` to become ready, and `grace` seconds to end.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prepare: Callable[[], None] = lambda: None  # called before each start
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    identity: Identity = "self"
    match: ProcessMatch | None = None
    data: Path | None = None  # the folder in which it keeps data
    port: int | None = None
    question: Question | None = None
    forked: bool = False  # whether the fork server may start it: a Python program of ours
    liveness: Path | None = None
    niceness: int = 0
    excused: Callable[[], bool] = lambda: False
    ready_seconds: float = 60
    grace: float = 3

    def liveness_files(self) -> list[tuple[Path, int]]:
        """Return the files that its processes have touched, each with the pid."""
        if self.liveness is None:
            return []
        files = self.liveness.parent.glob(f"{self.liveness.name}.*")
        return [(file, int(file.suffix[1:])) for file in files]


class ProcessFailedError(Exception):
    """A program ended or never became ready; `log` holds the last lines that it wrote."""

    def __init__(self, name: str, reason: str, log: str) -> None:
        self.name, self.reason, self.log = name, reason, log
        super().__init__(f"{name} {reason}.\n{log}".rstrip())


@dataclass
class Child:
    """A program that runs, or ran, as our child process."""

    program: Program
    process: subprocess.Popen[bytes] | ForkedProcess
    log: Path
    log_offset: int  # where the log of this run begins
    started: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait_ready(
        self,
        *,
        seconds: float | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Wait until the program is ready or `cancelled` returns true; call `say` with a sentence if it takes long.

        Raise ProcessFailedError when the program ends, or is not ready after `seconds`: by default `ready_seconds`.
        """
        seconds = self.program.ready_seconds if seconds is None else seconds
        began, is_said = time.monotonic(), False
        while not cancelled():
            if not self.running:
                raise self.failure(f"did not start: {self.exit_reason}")
            if self.program.ready():
                return
            waited = time.monotonic() - began
            if waited > seconds:
                raise self.failure(f"was not ready after {seconds:.0f} seconds")
            if waited > SLOW_SECONDS and not is_said:
                is_said = True
                say(f"{self.program.name} is not ready yet. After a crash this may take some minutes.")
            time.sleep(POLL_SECONDS)

    def stop(self, *, grace: float = 5) -> None:
        """End the program and all that it started: by its stop signal, and after `grace` seconds by SIGKILL."""
        stop([self], grace=grace)

    def kill(self) -> None:
        """End the program and all that it started at once, as a crash would."""
        if self.running:
            self.process.kill()
        self.process.wait()
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End the processes that the ended program left behind; they may hold its port or its data."""
        _kill(leftovers(self))

    def failure(self, reason: str) -> ProcessFailedError:
        return ProcessFailedError(self.program.name, reason, self.last_lines())

    @property
    def exit_reason(self) -> str:
        """Return how the program ended, in words that fit after a colon."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by signal {-code}"
        return f"exit code {code}"

    def limit_log(self) -> None:
        """Move a long log away (`rotate`). Call this regularly while the program runs."""
        if rotate(self.log):
            self.log_offset = 0

    def last_lines(self, count: int = 20) -> str:
        """Return the last lines that this run of the program wrote."""
        with self.log.open("rb") as file:
            file.seek(self.log_offset)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


def start(program: Program, log_dir: Path, *, keep: tuple[int, ...] = ()) -> Child:
    """Start the program, with its output in `<log_dir>/<name>.log`; it inherits the file descriptors `keep`.

    Call it from the main thread: the kernel ends the child when the thread that started it ends.
    """
    log = prepare(program, log_dir)
    launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(program.stop_signal)))
    with log.open("ab") as output:
        process = subprocess.Popen(
            (*launch, program.identity, *program.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=program.cwd,
            env=environment(program, log),
            pass_fds=keep,
            start_new_session=True,  # so only the supervisor receives Ctrl-C, and stops the children in order
        )
        niceness_add(process.pid, program.niceness)
        return Child(program=program, process=process, log=log, log_offset=output.tell())


def prepare(program: Program, log_dir: Path) -> Path:
    """Do what a start of the program needs before it, and return the file of its log."""
    program.prepare()
    if program.liveness:
        program.liveness.parent.mkdir(parents=True, exist_ok=True)
        for file, _ in program.liveness_files():
            file.unlink()
    log_dir.mkdir(parents=True, exist_ok=True)
    log = (log_dir / f"{program.name}.log").resolve()
    rotate(log)
    return log


def rotate(log: Path) -> bool:
    """Move the content of a long log to `<log>.1`; return whether the log was long.

    The log is copied and emptied, not renamed, because the program keeps it open and appends to it. Lines that are
    written between the copy and the emptying are lost. On a full disk there is no copy.
    """
    if not log.exists() or log.stat().st_size <= MAX_LOG_BYTES:
        return False
    old = log.with_suffix(".log.1")
    try:
        shutil.copyfile(log, old)
    except OSError:
        old.unlink(missing_ok=True)
    os.truncate(log, 0)
    return True


def environment(program: Program, log: Path) -> dict[str, str]:
    """Return the whole environment of a program: its own, and the paths of its log and of its liveness files."""
    env = {**program.env, LOG_VARIABLE: str(log)}
    return {**env, FILE_VARIABLE: str(program.liveness)} if program.liveness else env


def run(
    program: Program, log_dir: Path, *, seconds: float = 300, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Run the program to its end; raise ProcessFailedError unless it succeeds in time."""
    finish(start(program, log_dir), seconds=seconds, cancelled=cancelled)


def finish(child: Child, *, seconds: float = 300, cancelled: Callable[[], bool] = lambda: False) -> None:
    """Wait for the end of a program; raise ProcessFailedError unless it succeeds in time.

    A program that still runs then is killed.
    """
    try:
        deadline = time.monotonic() + seconds
        while child.running and not cancelled():
            if time.monotonic() > deadline:
                raise child.failure(f"did not end within {seconds:.0f} seconds")
            time.sleep(POLL_SECONDS)
        if not child.running and child.process.returncode != 0:
            raise child.failure(f"failed: {child.exit_reason}")
    finally:
        child.kill()


def stop(
    children: Iterable[Child], *, grace: float | None = None, immediately: Callable[[], bool] = lambda: False
) -> None:
    """Send each child its stop signal, and kill those that still run after `grace` seconds.

    By default, that is the longest grace of these programs. It ends at once when `immediately` returns true.
    """
    children = list(children)
    if grace is None:
        grace = max((child.program.grace for child in children), default=0)
    for child in children:
        if child.running:
            child.process.send_signal(child.program.stop_signal)
    deadline = time.monotonic() + grace
    while any(child.running for child in children) and time.monotonic() < deadline and not immediately():
        time.sleep(POLL_SECONDS)
    for child in children:
        child.kill()


def adopt_orphans() -> None:
    """Make this process the parent of the processes that its children leave behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def allow_open_files() -> None:
    """Let this process, and those that it starts, open as many files as the system allows: a socket is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def reap_orphans(children: Iterable[Child]) -> None:
    """Reap adopted orphans that have ended. The children are left out, because `Popen` reaps them."""
    own = {child.pid for child in children}
    for process in psutil.Process().children():
        if process.pid not in own:
            _is_gone(process)


def leftovers(child: Child) -> list[psutil.Process]:
    """Return the processes that a program started and that outlived it.

    The environment of a fork names the log of the fork server; its own processes are found by their session.
    """
    return [
        process
        for process in psutil.process_iter()
        if (log := _log_of(process)) == str(child.log)
        or (log.startswith(f"{child.log.parent}{os.sep}") and _session_of(process) == child.pid)
        or _matches(process, child.program.match)
    ]


def survivors(log_dir: Path, match: ProcessMatch | None) -> list[psutil.Process]:
    """Return the processes that a killed run with this log folder left behind, and those that match."""
    ours = str(log_dir.resolve()) + os.sep
    return [
        process
        for process in psutil.process_iter()
        if _log_of(process).startswith(ours) or _matches(process, match)
    ]


def end_survivors(processes: list[psutil.Process], *, grace: float = 5) -> None:
    """End the processes: by SIGTERM, and after `grace` seconds by SIGKILL."""
    for process in processes:
        with _ignore_gone_or_foreign():
            process.terminate()
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and not all(_is_gone(process) for process in processes):
        time.sleep(POLL_SECONDS)
    _kill(processes)


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with _ignore_gone_or_foreign():
            process.kill()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not all(_is_gone(process) for process in processes):
        time.sleep(0.01)


def _is_gone(process: psutil.Process) -> bool:
    """Return whether a process that is no `Child` has ended, and reap it if we adopted it.

    A zombie counts as ended: it holds no port and no file, and in a container pid 1 may reap it late.
    """
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    with _ignore_gone_or_foreign():
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    return True


def _log_of(process: psutil.Process) -> str:
    with _ignore_gone_or_foreign():
        log: str = process.environ().get(LOG_VARIABLE, "")
        return log
    return ""


def _session_of(process: psutil.Process) -> int:
    with _ignore_gone_or_foreign():
        return os.getsid(process.pid)
    return 0


def _matches(process: psutil.Process, match: ProcessMatch | None) -> bool:
    if match is None:
        return False
    with _ignore_gone_or_foreign():
        found = (Path(process.cwd()), Path(process.exe()))
        return found == (match.folder.resolve(), match.executable.resolve())
    return False


@contextlib.contextmanager
def _ignore_gone_or_foreign() -> Iterator[None]:
    """Ignore a process that has just ended, or that belongs to another user."""
    with contextlib.suppress(psutil.Error, OSError):
        yield
