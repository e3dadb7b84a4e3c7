"""The problems that doctor finds, and the remedy that it names for each."""

import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from overlord.embedded import binaries, doctor, ports
from overlord.embedded.state import Folder
from tests import refusals


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Make a data folder with files that look like PostgreSQL's data."""
    data = tmp_path / "postgres"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text(f"{doctor.POSTGRES_MAJOR}\n")
    return Folder(tmp_path)


def texts(findings: object) -> list[str]:
    return [finding.text for finding in findings]  # type: ignore[attr-defined]


def first_wrong(folder: Folder) -> str:
    return next(found.text for found in doctor.findings(folder) if not found.good)


def test_a_missing_program_is_installed_by_bin_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    text = doctor._binary("Caddy", binaries.caddy, "version").text
    assert "caddy is missing" in text
    assert "bin/up installs it" in text


def test_a_program_of_another_machine_is_named_with_the_remedy(tmp_path: Path) -> None:
    program = tmp_path / "caddy"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    text = doctor._binary("Caddy", lambda: program, "version").text
    assert "does not run here" in text
    assert "remove .venv and start bin/up" in text


def test_a_full_disk_is_named_with_the_remedy(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000))
    found = doctor._space(folder)
    assert not found.good
    assert "3 MB of disk are free" in found.text
    assert f"make room where {folder.path} lies" in found.text


def test_before_the_first_start_bin_up_is_named(tmp_path: Path) -> None:
    assert first_wrong(Folder(tmp_path / "nothing")).endswith("does not exist: bin/up makes it")


def test_the_folder_of_another_user_is_named_with_the_remedy(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlord.embedded.state.os.geteuid", lambda: 54321)
    assert "run this as that user, or set OVERLORD_DATA" in first_wrong(folder)


def test_a_folder_that_is_not_writable_is_named_with_the_remedy(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overlord.embedded.state.os.access", lambda *_: False)
    assert first_wrong(folder) == f"{folder.path} is not writable: chmod u+rwx '{folder.path}'"


def test_lost_passwords_lead_to_a_copy_and_not_to_a_reset(folder: Folder) -> None:
    text = first_wrong(folder)
    assert "The data is whole: restore the file from a copy." in text
    assert text.index("restore") < text.index("Only when the data is of no use") < text.index("reset")


def test_a_lost_state_file_is_made_again_from_the_addresses(folder: Folder) -> None:
    folder.write_env(
        {
            "DATABASE_URL": "postgres://overlord:first@127.0.0.1:15432/overlord",
            "REDIS_URL": "redis://:second@127.0.0.1:16379/0",
            "SECRET_KEY": "third",
        }
    )
    assert "not running: bin/up starts it" in first_wrong(folder)


def test_a_port_that_is_taken_is_named_with_the_program_that_uses_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [found] = list(doctor._taken_ports({"web": port}))
    assert found.good, "bin/up takes another one"
    assert f"port {port}, last used for web, is taken by" in found.text
    assert f"(pid {os.getpid()})" in found.text


@pytest.mark.usefixtures("postgres")
class TestServers:
    @pytest.fixture(autouse=True)
    def as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.setenv(variable, os.environ[variable])

    def wrong(self) -> list[str]:
        return texts(each for each in doctor._services() if not each.good)

    def test_servers_that_answer_are_no_finding(self) -> None:
        assert self.wrong() == []

    @pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
    def test_a_server_that_does_not_answer_is_named_with_the_remedy(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scheme = "postgres" if variable == "DATABASE_URL" else "redis"
        monkeypatch.setenv(variable, f"{scheme}://x:y@127.0.0.1:{ports.any_free()}/0")
        [text] = self.wrong()
        assert f"does not answer at the address in {variable}" in text
        assert "start bin/up" in text

    @pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL"])
    def test_a_server_without_an_address_is_named_with_the_remedy(
        self, variable: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(variable)
        assert self.wrong() == [f"{variable} is not set: start bin/up, which sets it, or set it in .env"]

    def test_a_wrong_password_is_not_taken_for_an_absent_server(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = urlsplit(os.environ["DATABASE_URL"])
        wrong = url._replace(netloc=f"{url.username}:wrong@{url.hostname}:{url.port}")
        monkeypatch.setenv("DATABASE_URL", wrong.geturl())
        [text] = self.wrong()
        assert "refuses the password" in text
        assert "The data is whole: restore the files env and state.json" in text

    def test_a_postgresql_with_too_many_clients_is_not_taken_for_an_absent_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with refusals.postgresql_crowded() as url:
            monkeypatch.setenv("DATABASE_URL", url)
            [text] = self.wrong()
        assert text.startswith("PostgreSQL refuses connections (too many connections for role")
        assert "end some of them" in text

    def test_a_valkey_that_takes_no_writes_is_named(self) -> None:
        with refusals.redis_full():
            [text] = self.wrong()
        assert "takes no writes" in text


def test_a_queue_without_a_worker_and_refused_sockets_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = False, {"missing": ["sockets", "worker"], "silent_queues": ["payments"]}
    monkeypatch.setattr("overlord.embedded.doctor.program.readiness", lambda _port: answer)
    found = doctor._readiness(1)
    assert "room for sockets (raise ulimit -n and start bin/up again)" in found.text
    assert "a worker for the queue payments" in found.text
    assert found.logs == ("live", "payments", "beat")


def test_a_shop_that_does_not_answer_is_named_with_its_logs() -> None:
    found = doctor._readiness(ports.any_free())
    assert "the shop does not answer" in found.text
    assert found.logs == ("caddy", "web")


def test_data_that_cannot_be_read_is_named_with_the_remedy(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "exists", refuse)
    [text] = texts(doctor._data(folder))
    assert "make it yours with chown" in text


def test_whole_data_is_no_finding(folder: Folder) -> None:
    assert texts(doctor._data(folder)) == []


def test_data_of_another_version_is_named_with_the_remedy(folder: Folder) -> None:
    (folder.path / "postgres" / "PG_VERSION").write_text("17\n")
    [text] = texts(doctor._data(folder))
    assert "is of PostgreSQL 17" in text
    assert "restore the backup" in text


def test_data_that_others_may_open_is_named_with_the_remedy(folder: Folder) -> None:
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
    [text] = texts(doctor._servers({"live": port, "shop": port}))
    assert f"live does not answer on port {port}; the supervisor replaces it within a minute" in text


@pytest.mark.usefixtures("postgres")
def test_clocks_that_differ_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["DATABASE_URL"]
    assert doctor._clock(url).good
    really = time.time
    monkeypatch.setattr("overlord.embedded.doctor.time.time", lambda: really() - 600)
    assert "differ by 600 s" in doctor._clock(url).text


def test_beat_is_blamed_when_no_queue_gets_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    def facts(*queues: str) -> tuple[str, str]:
        answer = False, {"missing": ["worker"], "silent_queues": list(queues)}
        monkeypatch.setattr("overlord.embedded.doctor.program.readiness", lambda _port: answer)
        found = doctor._readiness(1)
        return found.text, " ".join(found.logs)

    text, logs = facts("live", "expiry", "payments")
    assert "messages of beat" in text
    assert logs == "beat"
    text, logs = facts("live")
    assert "a worker for the queue live" in text
    assert logs == "broadcasts beat"


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


@pytest.mark.usefixtures("postgres")
def test_the_sizes_of_the_database_are_shown() -> None:
    found = doctor._sizes(os.environ["DATABASE_URL"])
    assert found.good
    assert "the database takes" in found.text
    unreachable = doctor._sizes("postgres://nobody@127.0.0.1:1/none")
    assert not unreachable.good
