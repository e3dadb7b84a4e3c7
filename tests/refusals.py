"""Servers that refuse what the shop asks of them, for single tests."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import psycopg2

from overlord.kernel import redis_client

CROWDED = "overlord_test_crowded"


@contextmanager
def redis_full() -> Iterator[None]:
    """Let the tests' Redis refuse writes, because its memory is full; it goes on to answer reads."""
    client = redis_client.connection()
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


@contextmanager
def postgresql_crowded() -> Iterator[str]:
    """Yield an address of the tests' PostgreSQL at which no connection is free."""
    url = urlsplit(os.environ["DATABASE_URL"])
    with closing(psycopg2.connect(url.geturl())) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(f"CREATE ROLE {CROWDED} LOGIN PASSWORD 'crowded' CONNECTION LIMIT 0")
        try:
            yield url._replace(netloc=f"{CROWDED}:crowded@{url.hostname}:{url.port}").geturl()
        finally:
            cursor.execute(f"DROP ROLE {CROWDED}")
