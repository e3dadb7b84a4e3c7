"""The only reader of the environment: what an operator can set, checked once, with a sentence when wrong.

A value comes from the process's environment, else from `.env`, else, outside production, from the file in
which `manage.py up` keeps the addresses and secrets of the servers it runs. `.env.template` explains each.
"""

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parents[2]

_env = environ.Env()


def _read(file: Path) -> None:
    """Will take what is not set yet from a file; `NAME=` without a value sets nothing."""
    before = set(os.environ)
    _env.read_env(file)
    for name in set(os.environ) - before:
        if not os.environ[name]:
            del os.environ[name]


_read(ROOT / ".env")

ENVIRONMENT = _env.str("ENVIRONMENT", "development")
if ENVIRONMENT not in {"development", "test", "production"}:
    raise ImproperlyConfigured(f"ENVIRONMENT is {ENVIRONMENT!r}; it must be development, test or production.")
PRODUCTION = ENVIRONMENT == "production"

# Where the embedded servers keep their data, and the file they leave for other processes to find them by.
DATA_DIR = Path(_env.str("OVERLORD_DATA", str(ROOT / ".overlord")))
EMBEDDED_ENV = DATA_DIR / "env"
if not PRODUCTION:
    try:
        _read(EMBEDDED_ENV)
    except PermissionError:
        raise ImproperlyConfigured(
            f"{EMBEDDED_ENV} belongs to another user: work as the one who ran bin/up."
        ) from None


def _required(name: str, how: str) -> str:
    value = _env.str(name, "")
    if PRODUCTION and not value:
        raise ImproperlyConfigured(f"{name} is not set. {how}")
    return value


DEVELOPMENT_SECRET_KEY = "development-only-" + "0" * 40
SECRET_KEY = (
    _required(
        "SECRET_KEY",
        "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
    )
    or DEVELOPMENT_SECRET_KEY
)
if PRODUCTION and (SECRET_KEY == DEVELOPMENT_SECRET_KEY or len(SECRET_KEY) < 50):
    raise ImproperlyConfigured(
        "SECRET_KEY is a development one or shorter than 50 characters. "
        "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
    )

# Empty outside production when nothing is set and `bin/up` never ran: a system check says so.
DATABASE_URL = _required("DATABASE_URL", "For example postgres://user:password@host:5432/name")
REDIS_URL = _required("REDIS_URL", "For example redis://:password@host:6379/0")

ALLOWED_HOSTS = [host for host in _env.list("ALLOWED_HOSTS", default=[]) if host]
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS is not set. Name the hosts you serve: tickets.example.org")

LOG_LEVEL = _env.str("LOG_LEVEL", "INFO").upper()


def _seconds(name: str, default: int, *, least: int, most: int) -> int:
    try:
        value = _env.int(name, default)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number of seconds.") from None
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} is {value}; it must be between {least} and {most} seconds.")
    return value


# Of the two people whom `load_demo` makes; `bin/up` draws one and shows it.
DEMO_PASSWORD = _env.str("DEMO_PASSWORD", "")

HOLD_SECONDS = _seconds("HOLD_SECONDS", 900, least=1, most=86_400)
