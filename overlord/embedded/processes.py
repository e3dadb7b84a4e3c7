"""Start and stop the child processes of the supervisor.

What must stay true: no child process runs longer than the supervisor. Three mechanisms ensure this. The kernel ends
a child when the supervisor ends (`launcher.py`). A process that an ended child leaves behind, an orphan, becomes a
child of the supervisor and not of pid 1 (`adopt_orphans`). And each process has the path of its log in its
environment, which the processes that it starts inherit: by this path, a later run finds what a killed run left.
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
    """The working directory and the executable by which the processes of a program are recognised.

    Only PostgreSQL needs it, because its processes overwrite their environment.
    """

    folder: Path
    executable: Path


@dataclass(frozen=True)
class Question:
    """Bytes to send to a port of a server. Any answer shows that the server does not hang."""

    port: int
    request: bytes


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program: its command and environment, and how to find out that it is ready and does not hang.

    `prepare` is called before each start. `ready` returns whether the program is ready; if it is not ready after
    `ready_seconds`, it has failed. `repair` gets the log of a run that failed; it returns a sentence if it removes
    the cause, else "". After `stop_signal`, the program has `grace` seconds to end. `data` is the folder of its
    data, and `port` the port on which it listens. `forked` says whether the fork server may start it.

    `liveness` is the path, without the pid, of the files that its processes touch (overlord/liveness.py). `excused`
    returns true while a server that the program needs does not work. Then it is no failure if the program ends or
    does not touch its files. With a higher `niceness`, the program gets less CPU time (niceness.py).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    prepare: Callable[[], None] = lambda: None
    repair: Callable[[str], str] = lambda _log: ""
    ready: Callable[[], bool] = lambda: True
    stop_signal: signal.Signals = signal.SIGTERM
    identity: Identity = "self"
    match: ProcessMatch | None = None
    data: Path | None = None
    port: int | None = None
    question: Question | None = None
    forked: bool = False
    liveness: Path | None = None
    niceness: int = 0
    excused: Callable[[], bool] = lambda: False
    ready_seconds: float = 60
    grace: float = 3

    def liveness_files(self) -> list[tuple[Path, int]]:
        """Return the files that its processes have touched, each with the pid in its name."""
        if self.liveness is None:
            return []
        files = self.liveness.parent.glob(f"{self.liveness.name}.*")
        return [(file, int(file.suffix[1:])) for file in files]


class ProcessFailedError(Exception):
    """A program has ended, or has not become ready. `log` has the last lines that it wrote."""

    def __init__(self, name: str, reason: str, log: str) -> None:
        self.name, self.reason, self.log = name, reason, log
        super().__init__(f"{name} {reason}.\n{log}".rstrip())


@dataclass
class Child:
    """A program that runs, or has run, as a child process of the supervisor."""

    program: Program
    process: subprocess.Popen[bytes] | ForkedProcess
    log: Path
    log_offset: int  # the position in the file at which the log of this run begins
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
        """Wait until the program is ready, or `cancelled` returns true. If it takes long, `say` so in a sentence.

        Raise ProcessFailedError if the program ends, or is not ready after `seconds` (by default `ready_seconds`).
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
        """End the program and all processes that it started at once, by SIGKILL."""
        if self.running:
            self.process.kill()
        self.process.wait()
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End the processes that the ended program left behind. They may still use its port or its data."""
        _kill(leftovers(self))

    def failure(self, reason: str) -> ProcessFailedError:
        return ProcessFailedError(self.program.name, reason, self.last_lines())

    @property
    def exit_reason(self) -> str:
        """Return how the program ended: "killed by signal 9" or "exit code 1"."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by signal {-code}"
        return f"exit code {code}"

    def limit_log(self) -> None:
        """Move the log away if it is long (`rotate`). Call this regularly while the program runs."""
        if rotate(self.log):
            self.log_offset = 0

    def last_lines(self, count: int = 20) -> str:
        """Return the last lines that this run of the program wrote; "" if somebody has deleted the log."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as file:
            file.seek(self.log_offset)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
        return ""


def start(program: Program, log_dir: Path, *, keep: tuple[int, ...] = ()) -> Child:
    """Start the program and return the child. Its output goes to `<log_dir>/<name>.log`.

    The child inherits the file descriptors `keep`. Call this from the main thread: the kernel ends the child when
    the thread that started it ends.
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
            start_new_session=True,  # so that only the supervisor receives Ctrl-C, and stops all in order
        )
        niceness_add(process.pid, program.niceness)
        return Child(program=program, process=process, log=log, log_offset=output.tell())


def prepare(program: Program, log_dir: Path) -> Path:
    """Prepare a start of the program: call its `prepare`, remove old liveness files; return the path of its log."""
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
    """If a log is long, move its content to `<log>.1`; return whether it was long.

    The log is copied and emptied, and not renamed, because the program has it open and appends to it. Lines that
    are written between the two steps are lost. If the disk is full, there is no copy.
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
    """Return the whole environment of a program: its own, and the paths of its log and its liveness files."""
    env = {**program.env, LOG_VARIABLE: str(log)}
    return {**env, FILE_VARIABLE: str(program.liveness)} if program.liveness else env


def run(
    program: Program, log_dir: Path, *, seconds: float = 300, cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Start the program, and wait for its end as `finish` does; raise the errors of `finish`."""
    finish(start(program, log_dir), seconds=seconds, cancelled=cancelled)


def finish(child: Child, *, seconds: float = 300, cancelled: Callable[[], bool] = lambda: False) -> None:
    """Wait for the end of a program; raise ProcessFailedError if it fails, or does not end within `seconds`.

    If it does not end in time, kill it. When `cancelled` returns true, kill it and raise nothing.
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

    The default is the longest `grace` of these programs. When `immediately` returns true, kill them at once.
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
    """Let this process become the parent of all processes that its children leave behind (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def allow_open_files() -> None:
    """Let this process, and those that it starts, open up to OPEN_FILES files, if allowed. A socket is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def reap_orphans(children: Iterable[Child]) -> None:
    """Read the exit status of ended orphans, so that the kernel forgets them. `children` are no orphans."""
    own = {child.pid for child in children}
    for process in psutil.Process().children():
        if process.pid not in own:
            _is_gone(process)


def leftovers(child: Child) -> list[psutil.Process]:
    """Return the processes that an ended program has started, and that still run.

    The system shows a fork of the fork server with the environment of the fork server. So the processes of such a
    program are found by their session.
    """
    return [
        process
        for process in psutil.process_iter()
        if (log := _log_of(process)) == str(child.log)
        or (log.startswith(f"{child.log.parent}{os.sep}") and _session_of(process) == child.pid)
        or _matches(process, child.program.match)
    ]


def survivors(log_dir: Path, match: ProcessMatch | None) -> list[psutil.Process]:
    """Return the processes that a killed run with this folder of logs left, and those that `match` recognises."""
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
    """Return whether a process that is not a `Child` has ended. Read its exit status if it is an adopted orphan.

    A zombie, which is a process whose exit status nobody has read, counts as ended: it has no port and no open
    file. In a container, pid 1 can read the status late.
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
    """Ignore the errors about a process that has just ended, or that belongs to another user."""
    with contextlib.suppress(psutil.Error, OSError):
        yield
