"""The commands of docs/operations.md: those of PostgreSQL are run as written, those of Compose are read."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import psycopg2
import pytest
import yaml
from django.core.management import load_command_class

from overlord.embedded import binaries
from tests import compose
from tests.compose import ROOT
from tests.databases import database

pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("up"),  # `bin/up` takes its preferred ports here too: one runs at a time
]

DOCUMENT = (ROOT / "docs/operations.md").read_text()

# Runs PostgreSQL's programs on the test's database, in place of Docker.
DOCKER = """#!{python}
import os, shlex, sys
words = sys.argv[1:]
if words[:4] != ["compose", "exec", "-T", "postgres"]:
    sys.exit("not a command for PostgreSQL")
words, shell = words[4:], words[4:6] == ["sh", "-ec"]
if shell:
    password, *words = shlex.split(words[2].replace("$(cat /srv/secrets/password)", "$SECRET"))
    name, _, variable = password.partition("=$")
    os.environ[name] = os.environ[variable]
    for option, ours, name in (("-h", "haproxy", "PGHOST"), ("-p", "5000", "PGPORT")):
        assert words[words.index(option) + 1] == ours
        words[words.index(option) + 1] = os.environ[name]
program, *words = ["{database}" if word == "overlord" else word for word in words]
words[words.index("-U") + 1] = os.environ["PGUSER"]
os.execv("{folder}/" + program, [program, *words])
"""


def block(heading: str, *, nth: int = 0, language: str = "sh") -> list[str]:
    """Return the lines of a section's nth block of code."""
    section = DOCUMENT.split(f"\n### {heading}\n")[1].split("\n## ")[0].split("\n### ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)[nth].splitlines()


@pytest.fixture
def kept() -> Iterator[str]:
    """Make a database with one row that must survive."""
    with database("kept") as url:
        rows(url, "CREATE TABLE ticket (id int PRIMARY KEY)", "INSERT INTO ticket VALUES (7)")
        yield url


def rows(url: str, *statements: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def run(lines: list[str], folder: Path, **env: str) -> None:
    done = subprocess.run(
        ("/bin/sh", "-euc", "\n".join(lines)),
        cwd=folder,
        env={"PATH": f"{folder}:/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def lose(url: str) -> None:
    """Delete rows that the restore must bring back, and add a table that it must remove."""
    rows(url, "DELETE FROM ticket", "CREATE TABLE later (id int)")


def assert_restored(url: str) -> None:
    assert rows(url, "SELECT id FROM ticket") == [(7,)]
    assert rows(url, "SELECT to_regclass('later')") == [(None,)]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make the folder in which the commands run, inside another folder, as backups lie beside the checkout."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


def assert_private(backup: Path) -> None:
    assert backup.stat().st_mode & 0o777 == 0o600


def test_bin_up_is_backed_up_and_restored_by_commands_that_exist() -> None:
    """Check only that the commands exist: tests/test_backup.py runs them."""
    for nth, name in enumerate(("backup", "restore")):
        [line] = block("Back up and restore it", nth=nth)
        python, program, command, *words = shlex.split(line)
        assert (python, program, command) == (".venv/bin/python", "manage.py", name)
        parser = load_command_class("overlord.embedded", name).create_parser(program, name)
        assert parser.parse_args(words).file.name == "overlord.backup"


def docker_make(checkout: Path, url: str) -> dict[str, str]:
    """Write a Docker that reaches the test's database; return the environment of the commands."""
    docker = checkout / "docker"
    docker.write_text(
        DOCKER.format(
            python=sys.executable, database=url.rpartition("/")[2], folder=binaries.postgres_folder()
        )
    )
    docker.chmod(0o755)
    params = psycopg2.extensions.parse_dsn(url)
    return {"PGHOST": params["host"], "PGPORT": params["port"], "PGUSER": params["user"]}


def test_the_containers_are_backed_up_and_restored(kept: str, checkout: Path) -> None:
    password = psycopg2.extensions.parse_dsn(kept)["password"]
    env = {**docker_make(checkout, kept), "PGPASSWORD": password}

    run(block("Back up"), checkout, **env)
    assert_private(checkout.parent / "overlord.dump")
    lose(kept)
    run([line for line in block("Restore") if " exec -T postgres " in line], checkout, **env)

    assert_restored(kept)


def test_three_machines_are_backed_up_and_restored_by_haproxy_with_their_passwords(
    kept: str, checkout: Path
) -> None:
    password = psycopg2.extensions.parse_dsn(kept)["password"]
    env = {**docker_make(checkout, kept), "SECRET": password, "PATRONI_SUPERUSER_PASSWORD": password}
    heading = "Back up and restore three machines"

    run(block(heading), checkout, **env)
    assert_private(checkout.parent / "overlord.dump")
    lose(kept)
    run([line for line in block(heading, nth=1) if " exec -T postgres " in line], checkout, **env)

    assert_restored(kept)


@pytest.mark.parametrize(
    ("heading", "nth", "file"),
    [
        ("Back up", 0, "overlord.dump"),
        ("Back up", 1, "overlord-pictures.tar"),
        ("Back up and restore three machines", 0, "overlord.dump"),
    ],
)
def test_a_backup_that_breaks_off_leaves_the_former_one(
    checkout: Path, heading: str, nth: int, file: str
) -> None:
    (checkout / "docker").write_text("#!/bin/sh\necho half of it\nexit 1\n")
    (checkout / "docker").chmod(0o755)
    former = checkout.parent / file
    former.write_text("whole")
    with pytest.raises(AssertionError):
        run(block(heading, nth=nth), checkout)
    assert former.read_text() == "whole"


# Runs a command for the web container here, in a folder of pictures. TAR ends with the status in a file.
WEB = """#!/bin/sh
test "$1 $2 $3 $4 $5 $6" = "compose exec -T web sh -c" || exit 9
cd {folder} && exec sh -c "$(printf %s "$7" | sed s,/srv/pictures,.,)"
"""
TAR = """#!/bin/sh
/bin/tar "$@" || exit
exit $(cat {status})
"""


@pytest.mark.parametrize(("status", "is_kept"), [(0, True), (1, True), (2, False)])
def test_a_picture_that_vanishes_does_not_end_a_backup_and_other_errors_do(
    checkout: Path, status: int, is_kept: bool
) -> None:
    pictures = checkout.parent / "pictures"
    pictures.mkdir()
    (pictures / "poster.jpg").write_text("a picture")
    (pictures / ".poster.webp.123").write_text("an unfinished one")
    (checkout / "status").write_text(str(status))
    for name, text in (
        ("docker", WEB.format(folder=pictures)),
        ("tar", TAR.format(status=checkout / "status")),
    ):
        (checkout / name).write_text(text)
        (checkout / name).chmod(0o755)
    backup = checkout.parent / "overlord-pictures.tar"

    if is_kept:
        run(block("Back up", nth=1), checkout)
        with tarfile.open(backup) as copy:
            assert {each.removeprefix("./") for each in copy.getnames()} == {".", "poster.jpg"}
    else:
        with pytest.raises(AssertionError):
            run(block("Back up", nth=1), checkout)
        assert not backup.exists()


def test_every_service_in_a_command_exists() -> None:
    commands = re.findall(r"^docker compose (.*?)(?: #.*)?$", DOCUMENT, re.MULTILINE)
    named = set()
    for command in commands:
        verb, *words = (
            word
            for word in shlex.split(command)
            if word not in ("-d", "-T", "-f", "--rm", "--no-deps", "--wait", "--build")
        )
        if verb in ("stop", "restart"):
            named.update(words)
        if verb in ("exec", "run", "logs"):
            named.update(words[:1])
        if verb == "up":
            named.update(word.split("=")[0] for word in words if word != "--scale")

    assert len(commands) > 10
    assert named >= set(compose.OURS)
    three_machines = yaml.safe_load((ROOT / "deploy/three-machines/compose.yml").read_text())
    assert named <= {*compose.services(), *three_machines["services"]}


def test_everything_that_writes_is_stopped_before_a_restore() -> None:
    for lines in (block("Restore"), block("Back up and restore three machines", nth=1)):
        [stop] = [line.partition("#")[0] for line in lines if " stop " in line]
        assert set(compose.OURS) == set(stop.split()[3:])


def test_the_deploy_section_sets_what_production_requires() -> None:
    set_there = {line.split("=")[0] for line in block("Deploy")}

    assert set_there == {"ENVIRONMENT", "DJANGO_PORT"} | {
        "SECRET_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "ALLOWED_HOSTS",
        "CSRF_TRUSTED_ORIGINS",
        "PAYMENT_GATEWAY",
        "EMAIL_URL",
    }


def test_the_override_for_port_80_is_valid() -> None:
    override = yaml.safe_load("\n".join(block("Deploy", language="yaml")))

    jsonschema.Draft202012Validator(compose.schema()).validate(override)
    assert set(override["services"]) <= set(compose.services())


def test_the_command_that_makes_staff_exists() -> None:
    [line] = block("Deploy", nth=1)
    words = shlex.split(line)
    assert words[:5] == ["docker", "compose", "exec", "web", "python"]

    subprocess.run(
        [sys.executable, *words[5:], "--help"],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
    )
