"""Processes that are forked from one with all imports behave like those that are started on their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from overlord.embedded import forks, processes
from overlord.embedded.forked_process import ForkedProcess
from overlord.embedded.forks import ForkServer
from overlord.embedded.processes import Child, Program
from overlord.embedded.program import ROOT
from overlord.embedded.tests.waiting import until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

ENV = {**os.environ, "ENVIRONMENT": "test", "PYTHONUNBUFFERED": "1"}
SLEEP = "import time; time.sleep(600)"
Start = Callable[..., Child]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Return a fork server with all imports; its processes become ours, as they become the supervisor's."""
    processes.adopt_orphans()
    server = ForkServer(env=ENV, cwd=ROOT, log_dir=tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def start(server: ForkServer, tmp_path: Path) -> Iterator[Start]:
    """Return a function that runs a text as a fork."""
    children: list[Child] = []

    def run(
        code: str, *arguments: str, env: dict[str, str] = ENV, by: ForkServer = server, niceness: int = 0
    ) -> Child:
        name = f"code-{len(children)}"
        (tmp_path / f"{name}.py").write_text(code)
        argv = (sys.executable, f"{name}.py", *arguments)
        program = Program(
            name=name,
            argv=argv,
            env=env,
            cwd=tmp_path,
            forked=True,
            liveness=tmp_path / "live" / "x",
            niceness=niceness,
        )
        children.append(by.start(program, tmp_path / "logs"))
        return children[-1]

    yield run
    for child in children:
        child.kill()


def is_fork(child: Child) -> bool:
    return isinstance(child.process, ForkedProcess)


def test_a_fork_is_our_child_with_the_given_arguments_and_environment(start: Start, tmp_path: Path) -> None:
    child = start(
        "import os, sys, threading\n"
        "print(sys.argv, __name__, os.getcwd(), os.getppid(), end=' ')\n"
        "print(os.getsid(0) == os.getpid(), threading.active_count())\n"
        "print(os.environ['OVERLORD_LOG'], os.environ['OVERLORD_LIVENESS_FILE'], sys.stdin.read() == '')\n"
        "print('celery.apps.worker' in sys.modules, open('/proc/self/comm').read())\n"
        "print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1])",
        "--some",
        "argument",
    )
    assert child.process.wait(30) == 0
    assert is_fork(child)
    first, second, third, _, fds = child.last_lines().splitlines()
    assert first == f"['code-0.py', '--some', 'argument'] __main__ {tmp_path} {os.getpid()} True 1"
    assert second == f"{child.log} {tmp_path / 'live' / 'x'} True"
    assert third == "True code-0"
    assert fds == "['0', '1', '2']"


@pytest.mark.parametrize(
    ("code", "ended", "said"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise ValueError('because')", 1, "because"),
        ("import atexit; atexit.register(print, 'tidied')", 0, "tidied"),
    ],
)
def test_a_fork_ends_like_any_program(start: Start, code: str, ended: int, said: str) -> None:
    child = start(code)
    assert child.process.wait(30) == ended
    assert said in child.last_lines()
    assert not child.running


def test_a_fork_is_stopped_by_its_signal(start: Start) -> None:
    child = start(SLEEP)
    assert child.running
    child.stop(grace=5)
    assert (child.process.returncode, child.exit_reason) == (-signal.SIGTERM, "killed by signal 15")


def test_processes_that_a_fork_leaves_are_ended_and_no_others(start: Start) -> None:
    other = start(SLEEP)
    child = start(
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(p.pid)"
    )
    child.process.wait(30)
    left = psutil.Process(int(child.last_lines()))
    child.end_leftovers()
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert other.running


@pytest.mark.parametrize("niceness", [0, 5])
def test_a_fork_has_the_given_niceness(start: Start, niceness: int) -> None:
    child = start(
        "import os, pathlib; session = pathlib.Path('/proc/self/autogroup')\n"
        "print(os.nice(0), session.read_text() if session.exists() else '')",
        niceness=niceness,
    )
    assert child.process.wait(30) == 0
    assert is_fork(child)
    own, *session = child.last_lines().split()
    assert int(own) == os.nice(0) + niceness
    if session:  # the kernel divides the CPU among sessions first
        assert session[-2:] == ["nice", str(niceness)]


def test_a_fork_outlives_the_fork_server_and_the_next_program_is_started_on_its_own(
    start: Start, tmp_path: Path
) -> None:
    server = ForkServer(env=ENV, cwd=ROOT, log_dir=tmp_path / "server")
    child = start(SLEEP, by=server)
    assert is_fork(child)
    server.child.process.kill()
    server.child.process.wait()
    assert child.running
    after = start("print('here')", by=server)
    assert not is_fork(after)
    assert after.process.wait(30) == 0
    assert "here" in after.last_lines()
    server.stop()


def test_the_process_that_imports_ends_and_its_fork_is_our_child(start: Start, tmp_path: Path) -> None:
    server = ForkServer(env=ENV, cwd=ROOT, log_dir=tmp_path / "server")
    imports = server.child.process
    try:
        assert start("print('here')", by=server).process.wait(30) == 0
        assert (imports.returncode, server.child.running) == (0, True)
        assert psutil.Process(server.child.pid).ppid() == os.getpid()
    finally:
        server.stop()
    assert not server.child.running


def test_a_program_with_another_environment_is_started_on_its_own(start: Start) -> None:
    """Give one another environment, which a forked process would ignore: the fork server has read the settings."""
    child = start("import os; print(os.environ['OTHER'])", env={**ENV, "OTHER": "other"})
    assert not is_fork(child)
    assert child.process.wait(30) == 0
    assert child.last_lines() == "other"


def test_a_fork_server_that_hangs_only_delays_the_start(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.1)
    server = ForkServer(env=ENV, cwd=ROOT, log_dir=tmp_path / "server")
    os.kill(server.child.pid, signal.SIGSTOP)
    child = start("print('here')", by=server)
    assert not is_fork(child)
    until(lambda: not server.child.running, seconds=30)


def test_the_imports_open_no_connection_start_no_thread_and_leave_no_gaps() -> None:
    code = (
        "import gc, sys, threading; from overlord.embedded.fork_server import preload; freed = [];"
        "gc.callbacks.append(lambda phase, info: freed.append(info)); preload(); gc.callbacks.clear();"
        "print(freed, gc.isenabled(), gc.get_freeze_count() > 100_000,"
        " threading.active_count(), 'twisted.internet.reactor' in sys.modules,"
        " 'overlord.wsgi' in sys.modules, 'overlord.asgi' in sys.modules)"
    )
    env = {**ENV, "DJANGO_SETTINGS_MODULE": "overlord.settings"}
    said = subprocess.check_output([sys.executable, "-c", code], env=env, cwd=ROOT, text=True)
    assert said == "[] True True 1 False False False\n"


def test_the_supervisor_has_neither_django_nor_an_app_in_memory() -> None:
    code = (
        "import sys, overlord.embedded.supervise; print({'django', 'celery', 'tickets'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "set()\n"
