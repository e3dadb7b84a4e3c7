"""The sandbox's own book: what a gateway remembers, apart from our tables and our transactions.

It lies in a schema of its own and is written through a connection of its own, so that it stands whatever
becomes of the worker that asked. After a crash it is the witness: each charge here must be one of ours.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
from django.db import connection as django_connection

from checkout.gateways import GatewayUnknown

Answer = dict[str, Any]

SCHEMA = """
SELECT pg_advisory_xact_lock(7215460);
CREATE SCHEMA IF NOT EXISTS sandbox;
CREATE TABLE IF NOT EXISTS sandbox.intents (
    id text PRIMARY KEY DEFAULT 'pi_' || gen_random_uuid(),
    amount bigint NOT NULL,
    currency text NOT NULL,
    payment bigint NOT NULL,
    outcome text,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS sandbox.requests (
    key text PRIMARY KEY,
    body jsonb NOT NULL,
    answer jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""

_here = threading.local()


class InProgress(Exception):
    """The key is being worked on by somebody else."""


class KeyReused(Exception):
    """The key was used with another body: a bug of ours, as it would be at a real gateway."""


class Ledger:
    """One transaction on the book."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def once(self, key: str, body: Answer, work: Callable[["Ledger"], Answer]) -> Answer:
        """Will do the work unless the key was answered before; raises InProgress and KeyReused."""
        [(free,)] = self._rows("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 7))", key)
        if not free:
            raise InProgress(f"{key} is being worked on")
        for known, answer in self._rows("SELECT body, answer FROM sandbox.requests WHERE key = %s", key):
            if known != body:
                raise KeyReused(f"{key} was used for {known}, not {body}")
            return dict(answer)
        answer = work(self)
        self._rows(
            "INSERT INTO sandbox.requests (key, body, answer) VALUES (%s, %s, %s)",
            key,
            json.dumps(body),
            json.dumps(answer),
        )
        return answer

    def intent_create(self, *, amount: int, currency: str, payment: int) -> str:
        """Will write an intent and give its id."""
        insert = "INSERT INTO sandbox.intents (amount, currency, payment) VALUES (%s, %s, %s) RETURNING id"
        return str(self._rows(insert, amount, currency, payment)[0][0])

    def intent_conclude(self, intent: str, outcome: str) -> None:
        """Will write what became of an intent."""
        self._rows("UPDATE sandbox.intents SET outcome = %s WHERE id = %s", outcome, intent)

    def intent_outcome(self, intent: str) -> str | None:
        """Will read what became of an intent."""
        found = self._rows("SELECT outcome FROM sandbox.intents WHERE id = %s", intent)
        return found[0][0] if found else None

    def _rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def opened() -> Iterator[Ledger]:
    """Will open a transaction on the book and commit it; a book that cannot be reached is GatewayUnknown."""
    try:
        connection = _connection()
        with connection:
            yield Ledger(connection)
    except psycopg2.OperationalError as error:
        _here.connection = None
        raise GatewayUnknown(str(error).strip()) from error


def close() -> None:
    """Will close this thread's connection; the next use opens another."""
    connection: psycopg2.extensions.connection | None = getattr(_here, "connection", None)
    if connection is not None:
        connection.close()


def _connection() -> psycopg2.extensions.connection:
    """Will give this thread's connection, made with the tables at its first use."""
    connection: psycopg2.extensions.connection | None = getattr(_here, "connection", None)
    if connection is None or connection.closed:
        params = django_connection.get_connection_params()
        connection = psycopg2.connect(
            **{**params, "cursor_factory": None, "application_name": "sandbox gateway"}
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(SCHEMA)
        _here.connection = connection
    return connection
