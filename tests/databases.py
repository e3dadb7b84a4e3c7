"""Create databases for single tests, beside the one that Django creates."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2
from django.db import connection, connections

from checkout.gateways import ledger
from overlord.accounts import token_cache
from overlord.kernel import db


@contextmanager
def database(name: str, *, template: str = "template1") -> Iterator[str]:
    """Create a database on the server of the tests, a copy of `template`; yield its address, and drop it."""
    server, _ = os.environ["DATABASE_URL"].rsplit("/", 1)
    name = f"overlord_test_{name}"  # DATABASE_URL may name a server that others use too
    elsewhere = psycopg2.connect(f"{server}/postgres")
    elsewhere.autocommit = True
    try:
        with elsewhere.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f'CREATE DATABASE {name} TEMPLATE "{template}"')
            yield f"{server}/{name}"
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        elsewhere.close()


@contextmanager
def migrated_kept() -> Iterator[None]:
    """Keep a copy of Django's new test database, which no test changes: the template MIGRATED."""
    connection.close()  # a template has no clients
    with database("migrated", template=connection.settings_dict["NAME"]):
        yield


def disconnect() -> None:
    """Close the connections of this process, which tests keep open for those that follow."""
    ledger.close()
    token_cache.close()
    db.lock_sessions_close()
    connections.close_all()


def sessions_end() -> None:
    """End the sessions in Django's test database that threads of tests left open, so that it can be dropped."""
    server, _ = os.environ["DATABASE_URL"].rsplit("/", 1)
    with closing(psycopg2.connect(f"{server}/postgres")) as elsewhere, elsewhere.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [connection.settings_dict["NAME"]],
        )


MIGRATED = "overlord_test_migrated"
