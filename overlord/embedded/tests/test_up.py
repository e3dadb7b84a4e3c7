"""`manage.py up` from outside, as its user runs it.

Most tests use `--only services`, which is quicker: all programs are supervised in the same way. The supervisor
waits less between two looks than it does in use.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest
import redis

from overlord.embedded import ports, postgres_home, program
from overlord.embedded.servers import VALKEY_DATA
from overlord.embedded.state import Folder, SavedState
from overlord.embedded.tests.waiting import until

# `manage.py` that becomes a supervisor with shorter pauses.
SUPERVISE = """
import runpy
from overlord.embedded import supervised, supervisor, watchdog
supervisor.TIDY_SECONDS, supervised.FULL_DISK_DELAY, supervised.STARTED_AFTER_SECONDS = 0.2, 0.2, 2
watchdog.CHECK_SECONDS, watchdog.MAX_SILENT_CHECKS = 0.5, 80
runpy.run_module("overlord.embedded.supervise", run_name="__main__", alter_sys=True)
"""
MANAGE = f"""
import os
become = os.execv
os.execv = lambda path, argv: become(path, [argv[0], "-c", {SUPERVISE!r}, *argv[3:]])
import manage
manage.main()
"""
pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("up"),  # they take the same preferred ports: one runs at a time
]


@dataclass
class Up:
    """A running `manage.py up` and what it has printed so far."""

    process: subprocess.Popen
    output: Path

    @property
    def said(self):
        return self.output.read_text()

    def wait_ready(self):
        until(lambda: "Ctrl-C stops" in self.said or self.process.poll() is not None, seconds=100)
        assert "Ctrl-C stops" in self.said, self.said
        return self

    def children(self):
        return psutil.Process(self.process.pid).children(recursive=True)

    def programs(self):
        """Return the supervised programs by name, each with the processes that it started."""
        children = psutil.Process(self.process.pid).children()
        return {
            Path(os.readlink(f"/proc/{child.pid}/fd/1")).stem: [child, *child.children(recursive=True)]
            for child in running(children)
        }

    def child(self, executable):
        return next(
            each
            for each in psutil.Process(self.process.pid).children()
            if each.status() != psutil.STATUS_ZOMBIE and each.name() == executable
        )


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "a folder's name" / ".overlord")


@pytest.fixture
def manage(folder):
    """Return the arguments of `subprocess.run` for manage.py with only the data folder configured."""
    nothing = dict.fromkeys(
        ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENVIRONMENT", "EMAIL_URL", "BASE_URL"), ""
    )
    env = {**os.environ, **nothing, "ENVIRONMENT": "development", "OVERLORD_DATA": str(folder.path)}

    def manage(*arguments):
        return {
            "args": [sys.executable, "-c", MANAGE, *arguments],
            "env": env,
            "cwd": program.ROOT,
            "text": True,
        }

    return manage


@pytest.fixture
def up(manage, tmp_path):
    """Start `manage.py up` (`--only services` unless told otherwise); stop it at the end.

    `prefix` is a command that starts it, and `settings` are further variables.
    """
    started = []

    def up(*options, ready=True, prefix=(), settings=None):
        output = tmp_path / f"up-{len(started)}.txt"
        arguments = manage("up", *(options or ("--only", "services")))
        arguments["args"] = [*prefix, *arguments["args"]]
        arguments["env"] = {**arguments["env"], **(settings or {})}
        with output.open("w") as file:
            process = subprocess.Popen(**arguments, stdout=file, stderr=subprocess.STDOUT)
        started.append(Up(process, output))
        return started[-1].wait_ready() if ready else started[-1]

    yield up
    for each in started:
        each.process.terminate()
        each.process.wait()
        print(each.said)  # pytest shows it if the test failed


def running(processes):
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def execute(folder, sql):
    connection = psycopg2.connect(folder.env()["DATABASE_URL"])
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def test_ctrl_c_ends_every_process_and_keeps_the_data(up, folder):
    first = up()
    execute(folder, "CREATE TABLE kept AS SELECT 42 AS answer")
    children = first.children()

    first.process.send_signal(signal.SIGINT)

    assert first.process.wait() == 0
    assert running(children) == []
    up()
    assert execute(folder, "SELECT answer FROM kept") == [(42,)]


def test_a_second_start_says_that_the_first_one_runs(up, manage, folder):
    first = up()

    second = subprocess.run(**manage("up"), capture_output=True, check=False)

    assert (second.returncode, second.stderr) == (0, "")
    assert folder.env()["EMAIL_URL"] == folder.mail_url
    assert f"already running, pid {first.process.pid}, PostgreSQL and Valkey alone" in second.stdout


def test_after_everything_was_killed_it_starts_again_with_its_data(up, folder):
    first = up()
    execute(folder, "CREATE TABLE kept AS SELECT 42 AS answer")
    children = first.children()

    first.process.kill()
    until(lambda: running(children) == [])

    second = up()
    assert execute(folder, "SELECT answer FROM kept") == [(42,)]
    everything = [
        psutil.Process(second.process.pid),
        second.child("postgres"),
        second.child("valkey-server"),
    ]
    for each in everything:
        each.kill()

    third = up()
    assert "is taken" not in third.said
    assert execute(folder, "SELECT answer FROM kept") == [(42,)]


def test_a_killed_server_is_started_again_and_its_children_are_reaped(up, folder):
    first = up()
    for executable in ("postgres", "valkey-server"):
        killed = first.child(executable)
        left = killed.children()  # on Linux the supervisor adopts and reaps them, elsewhere pid 1
        killed.kill()

        until(lambda: any(each.name() == executable and each != killed for each in running(first.children())))  # noqa: B023
        until(lambda: not any(each.is_running() for each in left))  # noqa: B023
        until(lambda: execute_or_not(folder, "SELECT 1") == [(1,)])
    assert first.said.count("Restarting it") == 2


def execute_or_not(folder, sql):
    try:
        return execute(folder, sql)
    except (psycopg2.OperationalError, KeyError):  # it has no address while it is down
        return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_data_of_nobody_is_found_again_when_the_state_file_is_lost(up, folder):
    external = postgres_home.make_external_folder(postgres_home.EXTERNAL_FOLDERS)
    folder.make()
    folder.save(SavedState(external_folder=str(external)))
    try:
        first = up()
        execute(folder, "CREATE TABLE kept AS SELECT 42 AS answer")
        first.process.terminate()
        first.process.wait()
        (folder.path / "state.json").unlink()

        second = up()

        assert execute(folder, "SELECT answer FROM kept") == [(42,)]
        second.process.terminate()
        second.process.wait()
    finally:
        shutil.rmtree(external)


def test_another_port_is_chosen_for_a_taken_one_and_saved(up, folder):
    first = up()
    port = folder.load().ports["postgres"]
    first.process.terminate()
    first.process.wait()

    with socket.create_server((ports.HOST, port)):
        second = up()
        other = folder.load().ports["postgres"]
        second.process.terminate()
        second.process.wait()
    third = up()

    assert f"Port {port} is taken; postgres gets port {other} instead." in second.said
    assert "is taken" not in third.said
    assert folder.load().ports["postgres"] == other


def test_a_port_that_was_asked_for_is_not_replaced(up):
    with socket.create_server((ports.HOST, 0)) as listener:
        port = listener.getsockname()[1]
        first = up("--no-demo", "--port", str(port), ready=False)
        assert first.process.wait() == 1

    assert f"The shop cannot have port {port}, which another program uses" in first.said
    assert "All logs:" in first.said
    assert "Traceback" not in first.said


def test_a_server_that_cannot_start_ends_the_run_and_shows_its_log(up, folder):
    first = up()
    first.process.terminate()
    first.process.wait()
    (folder.path / "postgres" / "PG_VERSION").write_text("9\n")

    second = up(ready=False)

    assert second.process.wait() == 1
    assert re.search(
        r"postgres did not start.*The last lines of its log:.*incompatible", second.said, re.DOTALL
    )


def damage(folder):
    """Make the data of Valkey unreadable. Its first file has the format of a snapshot."""
    [file] = (folder.path / "valkey" / VALKEY_DATA).glob("*.base.rdb")
    file.write_bytes(b"damaged " * 100)


def kept_by_valkey(folder):
    """Return the value of a key in Valkey; None if it has none; False if Valkey does not answer."""
    try:
        with redis.Redis.from_url(folder.env()["REDIS_URL"], decode_responses=True) as client:
            return client.get("kept")
    except (redis.RedisError, KeyError):
        return False


def keep_in_valkey(folder):
    with redis.Redis.from_url(folder.env()["REDIS_URL"]) as client:
        client.set("kept", "42")


def test_valkey_starts_without_data_that_it_cannot_read(up, folder):
    first = up()
    keep_in_valkey(folder)
    damage(folder)
    first.child("valkey-server").kill()

    until(lambda: "Valkey did not start with its data" in first.said)
    until(lambda: kept_by_valkey(folder) is None)

    first.process.terminate()
    first.process.wait()
    damage(folder)
    second = up()
    assert "Valkey did not start with its data" in second.said
    assert kept_by_valkey(folder) is None
    assert (folder.path / "valkey" / f"{VALKEY_DATA}.damaged").is_dir()


def test_control_valkey_keeps_its_data_when_somebody_kills_it(up, folder):
    first = up()
    keep_in_valkey(folder)
    for _ in range(2):
        killed = first.child("valkey-server")
        killed.kill()
        until(lambda: not killed.is_running())  # noqa: B023
        until(lambda: kept_by_valkey(folder) == "42")

    assert "did not start" not in first.said


SMALL_DISK = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
MOUNT = 'mount -t tmpfs -o size=200m,mode=700 none "$0"; exec "$@"'
MOUNT_FULL = 'mount -t tmpfs -o size=1m,mode=700 none "$0"; cat /dev/zero >"$0/filler" 2>&- || exec "$@"'


def small_disks_work(folder):
    """Return whether this user may mount a disk of 200 MB that only its own processes see."""
    return not subprocess.run(
        [*SMALL_DISK, MOUNT, folder, "true"], capture_output=True, check=False
    ).returncode


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mounts of one process")
def test_a_full_disk_is_waited_for(up, folder, tmp_path):
    folder.path.mkdir(parents=True)
    if not small_disks_work(folder.path):
        pytest.skip("this user may not mount a small disk")
    first = up(prefix=(*SMALL_DISK, MOUNT, folder.path))
    inside = Folder(Path(f"/proc/{first.process.pid}/root{folder.path}"))
    execute(inside, "CREATE TABLE kept AS SELECT 42 AS answer")

    filler = inside.path / "filler"
    connection = psycopg2.connect(inside.env()["DATABASE_URL"])  # new ones are refused on a full disk
    fill(filler)
    fill_wal(connection)
    until(lambda: "postgres ended: the disk that holds" in first.said)
    until(lambda: "Selling may stop until there is room" in first.said)
    filler.unlink()
    until(lambda: execute_or_not(inside, "SELECT answer FROM kept") == [(42,)], seconds=90)
    until(lambda: "There is room again. postgres runs." in first.said)
    until(lambda: "There is room again on the disk" in first.said)

    assert first.process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has mounts of one process")
def test_a_start_on_a_full_disk_says_so(up, folder):
    folder.path.mkdir(parents=True)
    if not small_disks_work(folder.path):
        pytest.skip("this user may not mount a small disk")
    started = up(prefix=(*SMALL_DISK, MOUNT_FULL, folder.path), ready=False)

    assert started.process.wait(timeout=60) == 1
    assert f"{folder.path} cannot be written: No space left on device." in started.said
    assert "Traceback" not in started.said


def fill(file):
    """Write a file until the disk has no room for another byte."""
    with file.open("wb", buffering=0) as output:
        try:
            while True:
                output.write(bytes(100_000))
        except OSError:
            pass


def fill_wal(connection):
    """Write to PostgreSQL's write-ahead log until there is no room, which ends the server."""
    with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")


@pytest.mark.timeout(300)  # it starts and stops the whole system
def test_caddy_serves_pictures_from_the_folder_where_they_are_kept(up, folder, tmp_path):
    name = f"{'0' * 32}-8x8.jpg"
    kept = tmp_path / "pictures elsewhere"
    kept.mkdir()
    (kept / name).write_bytes(b"picture")

    up("--no-demo", "--port", str(ports.any_free()), settings={"OVERLORD_PICTURES": str(kept)})

    assert program._get(folder.load().ports["shop"], f"/pictures/{name}") == (200, b"picture")


@pytest.mark.timeout(300)  # it starts and stops the whole system
def test_stopped_processes_are_replaced_and_the_shop_is_ready_again(up, folder):
    first = up("--no-demo", "--port", str(ports.any_free()))
    port = folder.load().ports["shop"]
    programs = first.programs()
    assert set(programs) >= {"web", "live", "payments", "broadcasts", "upkeep", "beat", "caddy", "valkey"}
    web, *_, web_worker = programs.pop("web")
    stopped = [web_worker, *(each[0] for each in programs.values())]
    for each in stopped:
        each.suspend()

    until(lambda: running(stopped) == [], seconds=60)
    until(lambda: program.readiness(port)[0], seconds=60)

    assert running([web]), "Granian replaces its worker by itself"
    assert "beat is stopped" in first.said


def test_reset_is_refused_while_it_runs_and_removes_all_afterwards(up, manage, folder):
    first = up()
    refused = subprocess.run(**manage("reset", "--yes"), capture_output=True, check=False)
    first.process.terminate()
    first.process.wait()
    unconfirmed = subprocess.run(**manage("reset"), input="no\n", capture_output=True, check=False)
    kept = {path.name for path in folder.path.iterdir()}
    done = subprocess.run(**manage("reset"), input="yes\n", capture_output=True, check=False)

    assert (refused.returncode, unconfirmed.returncode, done.returncode) == (1, 1, 0)
    assert f"kill {first.process.pid}" in refused.stderr
    assert {"postgres", "valkey", "logs", "env", "state.json"} <= kept
    assert [path.name for path in folder.path.iterdir()] == ["lock"]


def test_doctor_names_the_problems(manage):
    result = subprocess.run(**manage("doctor"), capture_output=True, check=False)

    assert result.returncode == 1
    assert "ok     PostgreSQL: postgres (PostgreSQL) 18" in result.stdout
    assert re.search(r"wrong  .* does not exist: bin/up makes it", result.stdout)
