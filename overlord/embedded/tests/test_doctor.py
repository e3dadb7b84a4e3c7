"""What doctor says of states in which something is wrong."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from overlord.embedded import doctor, ports
from overlord.embedded.state import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make a data folder with what looks like PostgreSQL's data."""
    data = tmp_path / "postgres"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text(f"{doctor.POSTGRES_MAJOR}\n")
    return Folder(tmp_path)


def texts(findings: object) -> list[str]:
    return [finding.text for finding in findings]  # type: ignore[attr-defined]


def test_whole_data_is_no_finding(folder: Folder) -> None:
    assert texts(doctor._data(folder)) == []


def test_data_of_another_version_is_named_with_the_way_out(folder: Folder) -> None:
    (folder.path / "postgres" / "PG_VERSION").write_text("17\n")
    [text] = texts(doctor._data(folder))
    assert "is of PostgreSQL 17" in text
    assert "restore the backup" in text


def test_data_that_others_may_open_is_named_with_the_way_out(folder: Folder) -> None:
    (folder.path / "postgres").chmod(0o755)
    [text] = texts(doctor._data(folder))
    assert f"chmod 700 '{folder.path / 'postgres'}'" in text


def test_a_process_that_hangs_is_named(folder: Folder) -> None:
    (folder.path / "liveness").mkdir()
    file = folder.path / "liveness" / f"beat.{os.getpid()}"
    file.touch()
    assert texts(doctor._hanging(folder)) == []
    past = time.time() - doctor.HANGS_AFTER_SECONDS - 1
    os.utime(file, (past, past))
    [text] = texts(doctor._hanging(folder))
    assert f"beat hangs (pid {os.getpid()})" in text


def test_a_server_that_does_not_answer_is_named() -> None:
    port = ports.any_free()
    assert texts(doctor._servers({"live": port, "shop": port})) == [f"live does not answer on port {port}"]


def test_clocks_that_differ_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["DATABASE_URL"]
    assert doctor._clock(url).good
    really = time.time
    monkeypatch.setattr("overlord.embedded.doctor.time.time", lambda: really() - 600)
    assert "differ by 600 s" in doctor._clock(url).text


def test_beat_is_blamed_when_no_queue_gets_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(*queues: str) -> str:
        answer = False, {"missing": ["worker"], "silent_queues": list(queues)}
        monkeypatch.setattr("overlord.embedded.doctor.program.readiness", lambda _port: answer)
        found = doctor._readiness(1)
        return f"{found.text} {found.logs}"

    assert "messages of beat" in facts("live", "expiry", "payments")
    assert "broadcasts" not in facts("live", "expiry", "payments")
    assert "a worker for the queue live ('broadcasts', 'beat')" in facts("live")


def test_a_low_limit_of_open_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    found = doctor._open_files()
    assert not found.good
    assert "only 1,024 files may be open" in found.text
    assert "ulimit -n" in found.text


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the limit of another process")
def test_a_server_that_has_no_room_for_sockets_is_named() -> None:
    script = "import os, sys; [os.dup(0) for _ in range(60)]; print('open', flush=True); sys.stdin.read()"
    limited = ("/bin/sh", "-c", 'ulimit -Sn 64; exec "$0" -c "$1"', sys.executable, script)
    child = subprocess.Popen(limited, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdout.readline()
        [found] = [each for each in doctor._used_files(os.getpid()) if f"pid {child.pid}" in each.text]
        assert not found.good
        assert "of 64 files open: it refuses more visitors" in found.text
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


def test_the_sizes_of_the_database_are_shown() -> None:
    found = doctor._sizes(os.environ["DATABASE_URL"])
    assert found.good
    assert "the database takes" in found.text
    unreachable = doctor._sizes("postgres://nobody@127.0.0.1:1/none")
    assert not unreachable.good
