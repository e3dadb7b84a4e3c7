"""A command of `manage.py` that cannot reach a server says so in a sentence, and shows no password."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import kombu.exceptions
import psycopg2
import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from overlord import command_line
from overlord.embedded import ports
from tests.settings_reader import ROOT

PASSWORD = "hidden-9e1f"
PING = (
    "shell",
    "--no-imports",
    "-c",
    "from overlord.kernel.redis_client import connection; connection().ping()",
)


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "manage.py", *arguments)
    return subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.processes
@pytest.mark.parametrize("command", [("migrate",), ("person_export", "1")])
def test_without_postgresql_a_command_names_its_address(command: tuple[str, ...]) -> None:
    port = ports.any_free()

    done = manage(*command, DATABASE_URL=f"postgres://overlord:{PASSWORD}@127.0.0.1:{port}/overlord")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"PostgreSQL fails (127.0.0.1:{port}): Connection refused. {command_line.ADVICE}\n"


@pytest.mark.processes
def test_a_wrong_password_is_named_and_not_shown() -> None:
    right = urlsplit(os.environ["DATABASE_URL"])
    wrong = right._replace(netloc=f"{right.username}:{PASSWORD}@{right.hostname}:{right.port}").geturl()

    done = manage("reconcile_charges", DATABASE_URL=wrong)

    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"PostgreSQL fails ({right.hostname}:{right.port}): ")
    assert f'password authentication failed for user "{right.username}". ' in line
    assert PASSWORD not in line


@pytest.mark.processes
def test_without_redis_a_command_names_its_address() -> None:
    port = ports.any_free()

    done = manage(*PING, REDIS_URL=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")

    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Redis (Valkey) fails (127.0.0.1:{port}): ")
    assert line.endswith(f". {command_line.ADVICE}")
    assert PASSWORD not in line


@pytest.mark.processes
def test_with_traceback_there_is_a_traceback() -> None:
    url = f"postgres://127.0.0.1:{ports.any_free()}/overlord"

    done = manage("person_export", "1", "--traceback", DATABASE_URL=url)

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


@pytest.mark.processes
def test_before_the_first_start_a_command_says_what_sets_the_address(tmp_path: Path) -> None:
    given = {
        "ENVIRONMENT": "development",
        "OVERLORD_DATA": str(tmp_path),
        "DATABASE_URL": "",
        "REDIS_URL": "",
    }

    done = manage("person_export", "1", **given)

    assert (done.returncode, done.stderr) == (1, f"{command_line.NO_ADDRESS}\n")


def test_only_the_line_that_says_what_happened_is_shown() -> None:
    local = OperationalError(
        'connection to server at "localhost" (::1), port 5432 failed: Connection refused\n'
        "\tIs the server running on that host and accepting TCP/IP connections?\n"
        'connection to server at "localhost" (127.0.0.1), port 5432 failed: FATAL:  the database is starting\n'
    )
    said = command_line.sentence(local)
    assert "(127.0.0.1), port 5432 failed: FATAL:  the database is starting. " in said
    assert "Connection refused" not in said
    said = command_line.sentence(
        psycopg2.OperationalError("canceling statement\nCONTEXT:  a row of a person")
    )
    assert "): canceling statement. " in said
    assert "person" not in said
    assert command_line.sentence(psycopg2.InterfaceError("")).count("it does not say why") == 1


@pytest.mark.parametrize(
    "error",
    [
        redis.AuthenticationError("invalid username-password pair or user is disabled."),
        redis.TimeoutError("Timeout reading from 127.0.0.1:6379"),
        redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        kombu.exceptions.OperationalError("Error 111 connecting to 127.0.0.1:6379. Connection refused."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_that_redis_does_is_a_sentence(error: Exception) -> None:
    assert isinstance(error, command_line.OF_REDIS)
    said = command_line.sentence(error)
    assert said.startswith("Redis (Valkey) fails (127.0.0.1:")
    assert str(error).rstrip(".") in said
    assert str(urlsplit(os.environ["REDIS_URL"]).password) not in said


def test_another_error_of_the_settings_keeps_its_traceback() -> None:
    assert command_line.sentence(ImproperlyConfigured("The storage of pictures cannot be found.")) == ""
