"""What doctor says of states in which something is wrong."""

import os
import resource
import subprocess
import sys

import pytest

from overlord.embedded import doctor


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
