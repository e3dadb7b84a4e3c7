"""The watchdog on stand-in programs. Each test makes it look as often as needed, so none waits for a clock."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from overlord.embedded import ports, processes, watchdog
from overlord.embedded.processes import Child, Program, Question
from overlord.embedded.tests.waiting import until
from overlord.embedded.watchdog import MAX_SILENT_CHECKS, MAX_STOPPED_CHECKS, Watchdog

pytestmark = pytest.mark.slow

SLEEP = "import time; time.sleep(600)"
START_ANOTHER = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
TOUCH_ONCE = "import os; open(os.environ['OVERLORD_LIVENESS_FILE'] + f'.{os.getpid()}', 'w').close()"

Start = Callable[..., Child]


@pytest.fixture
def children() -> Iterator[list[Child]]:
    found: list[Child] = []
    yield found
    processes.stop(found, grace=0)


@pytest.fixture
def start(children: list[Child], tmp_path: Path) -> Start:
    def start(code: str, **described: object) -> Child:
        program = Program(
            name="stand-in",
            argv=(sys.executable, "-c", code),
            env={"PATH": os.environ["PATH"]},
            cwd=tmp_path,
            **described,  # type: ignore[arg-type]
        )
        children.append(processes.start(program, tmp_path / "logs"))
        return children[-1]

    return start


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def dog(children: list[Child], said: list[str]) -> Watchdog:
    return Watchdog(lambda: children, say=said.append)


def look(dog: Watchdog, times: int) -> None:
    for _ in range(times):
        dog.check()


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid))


def test_a_program_that_is_stopped_is_killed(start: Start, dog: Watchdog, said: list[str]) -> None:
    child = start(SLEEP)
    stop(child.pid)

    look(dog, MAX_STOPPED_CHECKS - 1)
    assert is_stopped(child.pid)
    dog.check()

    until(lambda: not child.running)
    assert said == [f"stand-in is stopped (process {child.pid}). Killing it."]


def test_a_stopped_server_is_not_asked(start: Start, dog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []
    monkeypatch.setattr(watchdog, "answers", asked.append)
    child = start(SLEEP, question=Question(ports.any_free(), b"?"))
    stop(child.pid)

    dog.check()

    assert asked == []


def test_only_the_stopped_process_of_a_program_is_killed(start: Start, dog: Watchdog) -> None:
    child = start(f"{START_ANOTHER}; {SLEEP}")
    until(lambda: psutil.Process(child.pid).children())
    [worker] = psutil.Process(child.pid).children()
    stop(worker.pid)

    look(dog, MAX_STOPPED_CHECKS)

    until(lambda: worker.status() == psutil.STATUS_ZOMBIE)
    assert child.running


def test_a_program_that_was_stopped_for_a_moment_is_left_alone(start: Start, dog: Watchdog) -> None:
    child = start(SLEEP)
    for _ in range(3):
        stop(child.pid)
        look(dog, MAX_STOPPED_CHECKS - 1)
        os.kill(child.pid, signal.SIGCONT)
        until(lambda: not is_stopped(child.pid))
        dog.check()

    assert child.running


@pytest.fixture
def touching(start: Start, tmp_path: Path) -> Child:
    """Return a program that has touched its file once, and hangs."""
    child = start(f"{TOUCH_ONCE}; {SLEEP}", liveness=tmp_path / "liveness" / "stand-in")
    until(child.program.liveness_files)
    return child


def test_a_program_that_no_longer_touches_its_file_is_killed(
    touching: Child, dog: Watchdog, said: list[str]
) -> None:
    look(dog, MAX_SILENT_CHECKS)  # the first look reads when the file was touched
    assert touching.running
    dog.check()

    until(lambda: not touching.running)
    assert said == [f"stand-in hangs (process {touching.pid}). Killing it."]


def test_a_program_that_touches_its_file_now_and_then_is_left_alone(touching: Child, dog: Watchdog) -> None:
    [(file, _)] = touching.program.liveness_files()
    for nth in range(3):
        os.utime(file, ns=(nth, nth))
        look(dog, MAX_SILENT_CHECKS)

    assert touching.running


def test_a_program_with_an_excuse_may_be_silent(start: Start, dog: Watchdog, tmp_path: Path) -> None:
    child = start(f"{TOUCH_ONCE}; {SLEEP}", liveness=tmp_path / "liveness" / "stand-in", excused=lambda: True)
    until(child.program.liveness_files)

    look(dog, MAX_SILENT_CHECKS + 1)

    assert child.running


def test_a_server_that_accepts_and_never_answers_is_killed(
    start: Start, dog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "ANSWER_SECONDS", 0.05)
    port = ports.any_free()
    child = start(
        f"import socket; server = socket.create_server(('{ports.HOST}', {port})); {SLEEP}",
        question=Question(port, b"?"),
    )
    until(lambda: ports.taken(port))

    look(dog, MAX_SILENT_CHECKS)

    until(lambda: not child.running)


def test_a_server_that_does_not_listen_yet_is_left_alone(start: Start, dog: Watchdog) -> None:
    child = start(SLEEP, question=Question(ports.any_free(), b"?"))

    look(dog, MAX_SILENT_CHECKS)

    assert child.running


def test_a_server_that_answers_is_left_alone(start: Start, dog: Watchdog) -> None:
    port = ports.any_free()
    child = start(
        f"import http.server; http.server.test(port={port}, bind='{ports.HOST}')",
        question=Question(port, b"GET / HTTP/1.0\r\n\r\n"),
    )
    until(lambda: ports.taken(port))

    look(dog, MAX_SILENT_CHECKS)

    assert child.running


def test_files_of_ended_processes_are_removed(touching: Child, start: Start, dog: Watchdog) -> None:
    assert touching.program.liveness
    ended = start("pass")
    ended.process.wait()
    old = Path(f"{touching.program.liveness}.{ended.pid}")
    old.touch()

    dog.check()

    assert not old.exists()
    assert touching.program.liveness_files()
