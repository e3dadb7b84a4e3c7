import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from overlord.embedded import disk, processes
from overlord.embedded import supervised as supervised_module
from overlord.embedded.niceness import session_write
from overlord.embedded.processes import ProcessFailedError, Program
from overlord.embedded.supervised import SupervisedProcess
from overlord.embedded.tests.waiting import until

pytestmark = pytest.mark.slow

SLEEP = "import time; time.sleep(600)"
# Starts a process in a session of its own, as PostgreSQL does.
START_ANOTHER = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
)


@pytest.fixture
def program(tmp_path):
    def describe(code, **described):
        return Program(
            name="stand-in",
            argv=(sys.executable, "-c", code),
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
            cwd=tmp_path,
            **described,
        )

    return describe


@pytest.fixture
def start(tmp_path):
    children = []

    def start(program):
        children.append(processes.start(program, tmp_path / "logs"))
        return children[-1]

    yield start
    for child in children:
        child.kill()


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def descendants(child):
    return psutil.Process(child.pid).children(recursive=True)


def test_a_program_is_ready_when_its_check_says_so(start, program, tmp_path):
    sign = tmp_path / "ready"
    child = start(program(f"open({str(sign)!r}, 'w'); {SLEEP}", ready=sign.exists))

    child.wait_ready()

    assert sign.exists()
    assert child.running


def nice_of_session(pid):
    """Return the niceness of a process's session; None where the kernel does not divide the CPU among sessions."""
    file = Path(f"/proc/{pid}/autogroup")
    text = file.read_text() if file.exists() else ""
    return int(text.split()[-1]) if text else None


def may_be_less_nice():
    tried = (sys.executable, "-c", "import os; os.nice(-5)")
    return subprocess.run(tried, stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize("niceness", [0, 5, -5])
def test_a_program_has_the_given_niceness_if_allowed_and_ours_stays(start, program, niceness):
    ours, our_session = os.nice(0), nice_of_session(os.getpid())
    child = start(program(SLEEP, niceness=niceness))
    allowed = niceness if niceness >= 0 or may_be_less_nice() else 0

    assert os.getpriority(os.PRIO_PROCESS, child.pid) == ours + allowed
    assert os.nice(0) == ours
    assert nice_of_session(child.pid) in (allowed, None)
    assert nice_of_session(os.getpid()) == our_session


class BusyFile:
    """A file that refuses a text twice, as Linux does when another session was changed just now."""

    def __init__(self):
        self.refusals = 2

    def write_text(self, text):
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError
        self.text = text


def test_a_session_is_changed_also_when_another_was_changed_just_now():
    file = BusyFile()
    session_write(file, 5)
    assert file.text == "5"


def test_a_program_that_ends_before_it_is_ready_fails_with_its_last_lines(start, program):
    child = start(program("print('one'); print('two'); raise SystemExit(3)", ready=lambda: False))

    with pytest.raises(ProcessFailedError) as failure:
        child.wait_ready()

    assert (failure.value.reason, failure.value.log) == ("did not start: exit code 3", "one\ntwo")


def test_a_program_that_is_never_ready_fails(start, program):
    child = start(program(SLEEP, ready=lambda: False))

    with pytest.raises(ProcessFailedError, match="was not ready"):
        child.wait_ready(seconds=0.2)


def test_a_long_wait_is_told_once(start, program, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "SLOW_SECONDS", 0.1)
    sign, said = tmp_path / "ready", []
    child = start(
        program(f"import time; time.sleep(0.5); open({str(sign)!r}, 'w'); {SLEEP}", ready=sign.exists)
    )

    child.wait_ready(say=said.append)

    assert said == ["stand-in is not ready yet. After a crash this may take some minutes."]


def test_waiting_can_be_cancelled(start, program):
    child = start(program(SLEEP, ready=lambda: False))

    child.wait_ready(cancelled=lambda: True)


def test_last_lines_are_those_of_this_run_only(start, program):
    start(program("print('before')")).process.wait()
    child = start(program("print('now')"))
    child.process.wait()

    assert child.last_lines() == "now"
    assert child.log.read_text() == "before\nnow\n"


def test_a_long_log_is_renamed_at_the_next_start(start, program, monkeypatch):
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 5)
    start(program("print('longer than five')")).process.wait()
    child = start(program("print('new')"))
    child.process.wait()

    assert child.log.read_text() == "new\n"
    assert child.log.with_suffix(".log.1").read_text() == "longer than five\n"


def test_a_long_log_is_moved_while_the_program_writes_on(start, program, monkeypatch):
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 100)
    child = start(program("import time\nfor nth in range(10**6): print(nth); time.sleep(0.001)"))
    old = child.log.with_suffix(".log.1")
    for _ in range(3):
        until(lambda: child.log.stat().st_size > 100)
        child.limit_log()
        moved = old.read_text().splitlines()
        assert len(moved) > 1
        assert moved[0] not in child.log.read_text().splitlines()

    until(lambda: child.last_lines(1).isdecimal())
    assert b"\0" not in child.log.read_bytes(), "the program does not append"


def test_a_short_log_is_left_alone(start, program):
    child = start(program("print('short')"))
    child.process.wait()

    child.limit_log()

    assert child.log.read_text() == "short\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_long_log_is_cut_even_when_there_is_no_room_for_a_copy(start, program, monkeypatch):
    monkeypatch.setattr(processes, "MAX_LOG_BYTES", 5)
    child = start(program("print('longer than five')"))
    child.process.wait()
    child.log.with_suffix(".log.1").symlink_to("/dev/full")

    child.limit_log()

    assert child.log.read_text() == ""


def test_a_missing_program_fails_with_a_clear_sentence(start, tmp_path):
    child = start(
        Program(name="stand-in", argv=("/no/such/program",), env={}, cwd=tmp_path, ready=lambda: False)
    )

    with pytest.raises(ProcessFailedError, match="could not be started: No such file"):
        child.wait_ready()


def test_stopping_sends_the_stop_signal_first(start, program):
    handler = (
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(7)); print('up'); time.sleep(600)"
    )
    child = start(program(handler))
    until(lambda: "up" in child.last_lines())

    child.stop()

    assert child.exit_reason == "exit code 7"


def test_stopping_kills_after_the_grace(start, program):
    ignores_sigterm = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
    )
    child = start(program(ignores_sigterm, grace=0.2))
    until(lambda: "up" in child.last_lines())

    processes.stop([child])

    assert child.exit_reason == "killed by signal 9"


def test_stopping_waits_for_the_longest_grace(start, program):
    ends_late = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(7)))\n"
        "print('up'); time.sleep(600)"
    )
    children = [
        start(replace(program(ends_late, grace=grace), name=f"stand-in-{grace}")) for grace in (0.0, 30.0)
    ]
    until(lambda: all("up" in child.last_lines() for child in children))

    processes.stop(children)

    assert [child.exit_reason for child in children] == ["exit code 7"] * 2


def test_leftovers_of_a_killed_program_are_ended(start, program):
    child = start(program(f"{START_ANOTHER}; {SLEEP}"))
    until(lambda: descendants(child))
    (orphan,) = descendants(child)

    child.process.kill()
    child.process.wait()
    assert not gone(orphan.pid), "the kernel ended it already"
    child.end_leftovers()

    assert gone(orphan.pid)


def test_survivors_of_a_killed_run_are_found_and_ended(start, program, tmp_path):
    child = start(program(f"{START_ANOTHER}; {SLEEP}"))
    until(lambda: descendants(child))
    child.process.kill()
    child.process.wait()

    found = processes.survivors(tmp_path / "logs", None)
    processes.end_survivors(found)

    assert len(found) == 1
    assert all(gone(process.pid) for process in found)


def test_processes_of_another_data_folder_are_no_survivors(start, program, tmp_path):
    start(program(SLEEP))

    assert processes.survivors(tmp_path / "log", None) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next run ends the survivors")
def test_a_child_ends_when_its_parent_is_killed(tmp_path):
    parent = (
        "import os, signal, sys; from pathlib import Path; from overlord.embedded.processes import Program, start\n"
        f"here = Path({str(tmp_path)!r})\n"
        f"sleeper = Program(name='sleeper', argv=(sys.executable, '-c', {SLEEP!r}), env={{}}, cwd=here)\n"
        "print(start(sleeper, here).pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    output = subprocess.run([sys.executable, "-c", parent], capture_output=True, check=False).stdout

    until(lambda: gone(int(output)))


def test_a_command_that_fails_raises_with_its_last_lines(program, tmp_path):
    with pytest.raises(ProcessFailedError, match=r"stand-in failed: exit code 2\.\nno such table"):
        processes.run(program("print('no such table'); raise SystemExit(2)"), tmp_path)


def test_a_program_that_ends_is_restarted(program, tmp_path):
    said = []
    supervised = SupervisedProcess(program(SLEEP), tmp_path, say=said.append)
    first = supervised.child.pid
    os.kill(first, signal.SIGKILL)

    def restarted():
        supervised.check()
        return supervised.child.running and supervised.child.pid != first

    until(restarted)
    supervised.child.kill()
    assert said == ["stand-in ended (killed by signal 9). Restarting it."]


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_a_program_is_restarted_though_somebody_deleted_its_logs(program, tmp_path, code):
    logs, go = tmp_path / "logs", tmp_path / "go"
    wait = f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
    supervised = SupervisedProcess(program(wait + code, data=tmp_path / "data"), logs, say=print)
    first = supervised.child.pid
    shutil.rmtree(logs)
    go.touch()

    check_until(supervised, lambda: supervised.child.pid != first)

    supervised.child.kill()
    assert (logs / "stand-in.log").exists()


def test_a_program_that_keeps_ending_fails_with_its_last_lines(program, tmp_path):
    said = []
    supervised = SupervisedProcess(
        program("print('port taken'); raise SystemExit(1)"), tmp_path, say=said.append
    )

    def check_forever():
        while True:
            supervised.check()

    with pytest.raises(ProcessFailedError, match=r"stand-in keeps ending: exit code 1\.\nport taken"):
        check_forever()
    assert len(said) == 4


def check_until(supervised, condition):
    def checked():
        supervised.check()
        return condition()

    until(checked)


def test_a_program_waits_while_its_disk_is_full(program, tmp_path, monkeypatch):
    monkeypatch.setattr(supervised_module, "FULL_DISK_DELAY", 0.01)
    monkeypatch.setattr(supervised_module, "STARTED_AFTER_SECONDS", 0.1)
    said = []
    supervised = SupervisedProcess(program(SLEEP), tmp_path, say=said.append)
    first = supervised.child
    with monkeypatch.context() as full:
        full.setattr(disk, "ROOM_BYTES", 10**18)
        first.kill()
        for _ in range(100):
            supervised.check()
        assert supervised.child is first
    check_until(supervised, lambda: len(said) == 2)

    assert supervised.child.running
    supervised.child.kill()
    assert re.fullmatch(
        r"stand-in ended: the disk that holds .* is full \(\d+ MB free\)\. It waits .*", said[0]
    )
    assert said[1] == "There is room again. stand-in runs."


def test_a_program_that_finds_no_space_is_restarted_however_often_it_ends(program, tmp_path, monkeypatch):
    monkeypatch.setattr(supervised_module, "FULL_DISK_DELAY", 0.0)
    said = []
    code = "print('could not write: No space left on device'); raise SystemExit(1)"
    supervised = SupervisedProcess(program(code, data=tmp_path), tmp_path, say=said.append)

    check_until(supervised, ended_often(supervised))

    supervised.child.kill()
    assert len(said) == 1


def ended_often(supervised):
    """Return a function that tells whether a program was started more often than a failing one may be."""
    pids = set()

    def look():
        pids.add(supervised.child.pid)
        return len(pids) > supervised_module.MAX_FAILED_STARTS

    return look


def test_a_program_without_data_that_repeats_a_servers_error_about_its_disk_has_failed(
    program, tmp_path, monkeypatch
):
    monkeypatch.setattr(supervised_module, "FIRST_RESTART_DELAY", 0.0)
    code = "print('the server said: No space left on device'); raise SystemExit(1)"
    supervised = SupervisedProcess(program(code), tmp_path, say=print)

    with pytest.raises(ProcessFailedError, match="keeps ending"):
        check_until(supervised, ended_often(supervised))


def test_a_program_that_lacks_a_server_is_restarted_however_often_it_ends(program, tmp_path, monkeypatch):
    monkeypatch.setattr(supervised_module, "NEEDED_SERVER_DELAY", 0.0)
    monkeypatch.setattr(supervised_module, "FIRST_RESTART_DELAY", 0.0)
    said, lacking = [], [True]
    described = program("raise SystemExit(1)", excused=lambda: bool(lacking))
    supervised = SupervisedProcess(described, tmp_path, say=said.append)

    check_until(supervised, ended_often(supervised))
    assert len(said) == 1
    lacking.clear()
    with pytest.raises(ProcessFailedError, match="keeps ending"):
        check_until(supervised, lambda: False)


def test_a_program_that_cannot_be_started_fails_with_the_reason(program, tmp_path):
    missing = tmp_path / "missing"
    supervised = SupervisedProcess(program(SLEEP, prepare=lambda: None), tmp_path, say=print)
    object.__setattr__(supervised.child.program, "cwd", missing)
    supervised.child.kill()

    with pytest.raises(ProcessFailedError, match=r"could not be started: .*No such file"):
        check_until(supervised, lambda: False)


def test_the_launcher_imports_nothing_of_ours():
    source = Path(processes.LAUNCHER).read_text()
    assert "overlord" not in source


def test_more_files_may_be_open_than_a_shell_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        processes.allow_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, processes.OPEN_FILES)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
