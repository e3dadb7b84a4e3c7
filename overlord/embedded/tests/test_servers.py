import os
import shutil
import signal
import sys

import psutil
import psycopg2
import pytest
import redis

from overlord.embedded import binaries, ports, postgres_home, processes
from overlord.embedded.processes import ProcessFailedError
from overlord.embedded.servers import Postgres, Valkey, postgres_answers, redis_answers, redis_takes_writes
from overlord.embedded.tests.waiting import until

pytestmark = pytest.mark.processes


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "a folder's name"
    folder.mkdir()
    return folder


@pytest.fixture
def start(folder):
    """Start servers and wait until each is ready; stop them at the end."""
    children = []

    def start(server):
        children.append(processes.start(server.program(), folder / "logs"))
        children[-1].wait_ready()
        return children[-1]

    yield start
    processes.stop(reversed(children))


@pytest.fixture
def postgres(folder):
    return created(folder, postgres_home.find(folder))


@pytest.fixture
def valkey(folder):
    return Valkey(binary=binaries.valkey(), data=folder / "valkey", port=ports.any_free(), password="secret")


def created(folder, home, settings=None):
    postgres = Postgres(home=home, port=ports.any_free(), password="secret", settings=settings or {})
    postgres.create(folder / "logs")
    return postgres


def execute(postgres, sql):
    connection = psycopg2.connect(postgres.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def test_data_survives_a_restart(postgres, start):
    child = start(postgres)
    postgres.create_database()
    execute(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    child.stop()

    start(postgres)
    postgres.create_database()

    assert execute(postgres, "SELECT answer FROM kept") == [(42,)]


def test_stopping_does_not_wait_for_clients_to_disconnect(postgres, start):
    child = start(postgres)
    postgres.create_database()
    client = psycopg2.connect(postgres.url)

    child.stop()
    client.close()

    assert child.exit_reason == "exit code 0"


def test_the_locale_of_the_user_changes_nothing(folder, start, monkeypatch):
    monkeypatch.setenv("LANG", "xx_XX.UTF-8")
    monkeypatch.setenv("LC_ALL", "xx_XX.UTF-8")
    postgres = created(folder, postgres_home.find(folder))
    start(postgres)
    postgres.create_database()

    assert execute(postgres, "SHOW server_encoding") == [("UTF8",)]
    assert execute(postgres, "SELECT upper('ż')") == [("Ż",)]


def test_postgres_refuses_a_wrong_password(postgres, start):
    start(postgres)

    assert not postgres_answers(postgres.url.replace("secret", "guess"))


def refused_registration(postgres):
    """Cause the error of a second registration with the same address."""
    execute(postgres, "CREATE TABLE account (email text UNIQUE, password text)")
    insert = "INSERT INTO account VALUES ('ada@example.org', 'argon2$secret')"
    execute(postgres, insert)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(postgres, insert)


def test_the_log_of_postgres_holds_nothing_personal(postgres, start):
    child = start(postgres)
    postgres.create_database()

    refused_registration(postgres)

    log = child.log.read_text()
    assert "violates unique constraint" in log
    assert "ada@example.org" not in log
    assert "argon2" not in log


def test_control_without_these_settings_the_log_has_personal_data(folder, start):
    settings = {"log_min_error_statement": "error", "log_error_verbosity": "default"}
    postgres = created(folder, postgres_home.find(folder), settings=settings)
    child = start(postgres)
    postgres.create_database()

    refused_registration(postgres)

    assert "Key (email)=(ada@example.org) already exists" in child.log.read_text()
    assert "VALUES ('ada@example.org', 'argon2$secret')" in child.log.read_text()


def test_postgres_starts_after_one_was_killed_with_a_busy_client(postgres, start):
    child = start(postgres)
    postgres.create_database()
    execute(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    client = psycopg2.connect(postgres.url, async_=True)
    until(lambda: client.poll() == psycopg2.extensions.POLL_OK)
    client.cursor().execute("SELECT count(*) FROM generate_series(1, 1e12::bigint)")
    until(lambda: any("SELECT" in " ".join(each.cmdline()) for each in backends(child)))

    child.process.kill()
    child.process.wait()
    child.end_leftovers()
    start(postgres)

    assert execute(postgres, "SELECT answer FROM kept") == [(42,)]


def backends(child):
    return psutil.Process(child.pid).children()


@pytest.mark.parametrize(
    "content", ["", "12", f"{os.getpid()}\n/elsewhere\n"], ids=["empty", "cut", "reused"]
)
def test_postgres_starts_with_a_stale_pid_file(postgres, start, content):
    (postgres.home.data / "postmaster.pid").write_text(content)

    start(postgres)


def test_a_creation_that_fails_leaves_nothing(folder):
    home = postgres_home.find(folder)
    (folder / "logs").mkdir()
    broken = Postgres(home=home, port=1, password="")  # initdb refuses an empty password

    with pytest.raises(ProcessFailedError):
        broken.create(folder / "logs")

    assert [path.name for path in folder.iterdir()] == ["logs"]


def test_leftovers_of_a_killed_creation_are_removed(folder):
    (folder / "postgres.new-killed" / "data").mkdir(parents=True)

    created(folder, postgres_home.find(folder))

    assert sorted(path.name for path in folder.iterdir()) == ["logs", "postgres"]


@pytest.fixture
def external_folder():
    folder = postgres_home.make_external_folder(postgres_home.EXTERNAL_FOLDERS)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_root_without_namespaces_runs_postgres_as_nobody(folder, external_folder, start):
    postgres = created(folder, postgres_home.as_nobody(external_folder))
    child = start(postgres)
    postgres.create_database()

    assert psutil.Process(child.pid).username() == "nobody"
    assert (external_folder.stat().st_uid, external_folder.stat().st_mode & 0o777) == (0, 0o711)


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root needs a namespace")
def test_a_namespace_that_cannot_reach_the_folder_is_not_used(folder):
    programs = binaries.postgres_folder()
    assert postgres_home.namespace_works(programs, folder)

    os.chown(folder, 65534, 65534)
    folder.chmod(0o700)

    assert not postgres_home.namespace_works(programs, folder)


def test_valkey_keeps_acknowledged_writes_when_it_is_killed(valkey, start):
    child = start(valkey)
    client = redis.Redis.from_url(valkey.url)
    client.set("kept", "42")
    client.close()
    os.kill(child.pid, signal.SIGKILL)
    child.process.wait()

    start(valkey)

    with redis.Redis.from_url(valkey.url, decode_responses=True) as again:
        assert again.get("kept") == "42"


def test_valkey_refuses_a_wrong_password(valkey, start):
    child = start(valkey)

    assert not redis_answers(valkey.url.replace("secret", "guess"))
    assert "secret" not in " ".join(psutil.Process(child.pid).cmdline())


def test_valkey_evicts_nothing_when_memory_is_full(valkey, start):
    start(valkey)

    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert redis_takes_writes(valkey.url)
        client.config_set("maxmemory", "1")
        assert redis_answers(valkey.url)
        assert not redis_takes_writes(valkey.url)
