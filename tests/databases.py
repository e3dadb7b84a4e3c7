"""Create databases for single tests, beside the one that Django creates."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2


@contextmanager
def database(name: str) -> Iterator[str]:
    """Create an empty database on the server of the tests, yield its address, and drop it."""
    server, _ = os.environ["DATABASE_URL"].rsplit("/", 1)
    name = f"overlord_test_{name}"  # the server may be somebody's own
    connection = psycopg2.connect(f"{server}/postgres")
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name}")
            yield f"{server}/{name}"
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        connection.close()
