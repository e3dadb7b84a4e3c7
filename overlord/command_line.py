"""Run a command of `manage.py`. If PostgreSQL or Redis fails meanwhile, end with a sentence, and no traceback.

The sentence says what failed, at which address, and what to do. It contains no password. With the option
--traceback, the command ends in a traceback.
"""

import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import kombu.exceptions
import psycopg2
import redis
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import InterfaceError, OperationalError

OF_POSTGRES = (OperationalError, InterfaceError, psycopg2.OperationalError, psycopg2.InterfaceError)
OF_REDIS = (redis.ConnectionError, redis.TimeoutError, redis.ResponseError, kombu.exceptions.OperationalError)
ADVICE = "Correct this, then run the command again. manage.py doctor finds out more."
NO_ADDRESS = (
    "DATABASE_URL is not set here. Start bin/up, which sets it, or set it in .env. With containers, run the command"
    " in one that has it, such as upkeep."
)


def run(argv: Sequence[str]) -> None:
    """Run the command with these arguments; raise SystemExit with a sentence if a server fails."""
    try:
        execute_from_command_line(list(argv))
    except (*OF_POSTGRES, *OF_REDIS, ImproperlyConfigured) as error:
        if "--traceback" in argv or not (said := sentence(error)):
            raise
        sys.exit(said)


def sentence(error: Exception) -> str:
    """Return what failed, at which address, and what to do; "" if it is something else than a server."""
    if isinstance(error, ImproperlyConfigured):
        return "" if settings.DATABASE_URL else NO_ADDRESS
    if isinstance(error, OF_POSTGRES):
        return f"PostgreSQL fails ({_postgres_address()}): {_reason(str(error))}. {ADVICE}"
    return f"Redis (Valkey) fails ({_redis_address()}): {_reason(str(error))}. {ADVICE}"


def _reason(text: str) -> str:
    """Return the line of an error that says what happened. The other lines repeat it, or can contain data."""
    lines = text.strip().splitlines() or ["it does not say why"]
    # If the name of a host has several addresses, the error has such a line for each of them.
    tries = [line for line in lines if line.startswith("connection to server")]
    return (tries[-1] if tries else lines[0]).strip().rstrip(".")


def _postgres_address() -> str:
    found = [settings.DATABASES["default"], settings.DATABASE_DIRECT]
    return " or ".join(f"{each['HOST'] or 'a local socket'}:{each['PORT'] or 5432}" for each in found if each)


def _redis_address() -> str:
    """Return the hosts of the addresses, without what stands before and after them: passwords can be there."""
    urls = dict.fromkeys((settings.REDIS_URL, settings.REDIS_BROKER_URL))
    return " or ".join(urlsplit(url).netloc.rpartition("@")[2] for url in urls)
