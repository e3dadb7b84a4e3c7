"""Production's settings: what they require, and Django's own check of a deployment."""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests import settings_reader
from tests.settings_reader import Load

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "DATABASE_URL": "postgres://overlord:secret@postgres:5432/overlord",
    "REDIS_URL": "redis://:secret@valkey:6379/0",
    "ALLOWED_HOSTS": "a.example.org, b.example.org",
    "CSRF_TRUSTED_ORIGINS": "https://a.example.org, https://b.example.org",
    "PAYMENT_GATEWAY": "sandbox",
    "EMAIL_URL": "smtp://mail.example.org",
}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    return settings_reader.reader(tmp_path)


def test_production_starts_with_what_it_needs(load: Load) -> None:
    read = load(ENVIRONMENT="production", **REQUIRED)

    assert read["ALLOWED_HOSTS"] == ["a.example.org", "b.example.org"]
    assert read["CSRF_TRUSTED_ORIGINS"] == ["https://a.example.org", "https://b.example.org"]


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_is_named_with_the_command_that_makes_it(
    load: Load, name: str, value: str | None
) -> None:
    given = {other: text for other, text in REQUIRED.items() if other != name}
    if value is not None:
        given[name] = value

    with pytest.raises(ImproperlyConfigured) as said:
        load(ENVIRONMENT="production", **given)

    [line] = str(said.value).splitlines()
    assert line.startswith(f"{name} is not set. ")
    assert any(help_with_it in line for help_with_it in ("example.org", "python3 -c", "stripe takes money"))


def test_all_missing_variables_are_named_at_once(load: Load) -> None:
    with pytest.raises(ImproperlyConfigured) as said:
        load(ENVIRONMENT="production")

    assert [line.split()[0] for line in str(said.value).splitlines()] == list(REQUIRED)


def test_the_command_that_makes_a_secret_makes_one(load: Load) -> None:
    made = subprocess.check_output(
        [sys.executable, *shlex.split(load()["RANDOM"])[1:]], text=True, timeout=30
    ).strip()

    assert load(ENVIRONMENT="production", **{**REQUIRED, "SECRET_KEY": made})["SECRET_KEY"] == made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "development-only-" + "0" * 40),
        ("CSRF_TRUSTED_ORIGINS", "http://a.example.org"),
        ("DJANGO_PORT", "0"),
        ("DJANGO_PORT", "eighty"),
        ("RATE_LIMITS", "off"),
        ("RATE_LIMITS", "no"),
        ("BASE_URL", "tickets.example.org"),
        ("BASE_URL", "https://tickets.example.org/path"),
        ("TOKEN_DAYS", "0"),
        ("PROXIES", "-1"),
        ("EMAIL_URL", "consolemail://"),
        ("EMAIL_URL", "mail.example.org"),
        ("EMAIL_URL", "smtp+tls://shop:pass/word@mail.example.org:587"),
        ("LOG_LEVEL", "verbose"),
    ],
)
def test_a_wrong_variable_is_named(load: Load, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name):
        load(ENVIRONMENT="production", **{**REQUIRED, name: value})


def test_mails_link_to_the_first_address_that_is_served(load: Load) -> None:
    assert load(ENVIRONMENT="production", **REQUIRED)["BASE_URL"] == "https://a.example.org"
    given = {**REQUIRED, "BASE_URL": "https://b.example.org"}
    assert load(ENVIRONMENT="production", **given)["BASE_URL"] == "https://b.example.org"
    assert load(DJANGO_PORT="8099")["BASE_URL"] == "http://localhost:8099"


def test_production_takes_nothing_from_the_embedded_servers(load: Load, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DATABASE_URL=postgres://somewhere\n")
    given = {name: value for name, value in REQUIRED.items() if name != "DATABASE_URL"}

    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL is not set"):
        load(ENVIRONMENT="production", OVERLORD_DATA=str(tmp_path), **given)


def test_a_variable_without_a_value_is_not_set(load: Load, tmp_path: Path) -> None:
    """Ignore an empty variable, which Compose sets for each line of `.env`: it must not hide a stored secret."""
    (tmp_path / "env").write_text("REDIS_URL=redis://:drawn@valkey:6379/0\nDATABASE_URL=\n")

    read = load(OVERLORD_DATA=str(tmp_path), ENVIRONMENT="", REDIS_URL="", HOLD_SECONDS="", DJANGO_PORT="")

    assert read["ENVIRONMENT"] == "development"
    assert read["REDIS_URL"] == "redis://:drawn@valkey:6379/0"
    assert (read["DATABASE_URL"], read["HOLD_SECONDS"], read["PORT"]) == ("", 900, None)


def test_the_template_as_it_stands_changes_nothing(load: Load, tmp_path: Path) -> None:
    before = load()
    shutil.copy2(ROOT / ".env.template", tmp_path / "checkout" / ".env")
    after = load()

    assert {name for name in before if name.isupper() and before[name] != after[name]} == set()


def test_a_file_of_another_user_is_named(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path, **_options: Any) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)

    with pytest.raises(ImproperlyConfigured, match="cannot be read: run this as the user"):
        load(OVERLORD_DATA=str(tmp_path))


@pytest.mark.processes
def test_the_check_of_a_deployment_finds_nothing() -> None:
    done = subprocess.run(
        (sys.executable, "-W", "error", "manage.py", "check", "--deploy", "--fail-level", "WARNING"),
        env={"PATH": os.environ["PATH"], "ENVIRONMENT": "production", **REQUIRED},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout
