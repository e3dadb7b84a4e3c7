"""The sandbox's own ledger: the records of a gateway, separate from our tables and transactions.

It has its own schema and its own connections, so that it keeps its records when the worker that called it dies.
Even after a crash, each charge in the ledger must belong to one of our payments.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from django.db import connection as django_connection

from checkout.gateways.protocol import GatewayUnknown
from checkout.rules import Outcome
from overlord.kernel.connection_pool import ConnectionPool

Answer = dict[str, Any]

SCHEMA = """
SELECT pg_advisory_xact_lock(7215460);
CREATE SCHEMA IF NOT EXISTS sandbox;
CREATE TABLE IF NOT EXISTS sandbox.intents (
    id text PRIMARY KEY DEFAULT 'pi_' || gen_random_uuid(),
    amount bigint NOT NULL,
    currency text NOT NULL,
    payment bigint NOT NULL,
    token text NOT NULL,
    outcome text NOT NULL DEFAULT 'unconfirmed',
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS sandbox.refunds (
    id text PRIMARY KEY DEFAULT 're_' || gen_random_uuid(),
    intent text NOT NULL REFERENCES sandbox.intents,
    amount bigint NOT NULL,
    refund bigint NOT NULL,
    key text
);
CREATE TABLE IF NOT EXISTS sandbox.events (
    id text PRIMARY KEY DEFAULT 'evt_' || gen_random_uuid(),
    intent text NOT NULL REFERENCES sandbox.intents,
    type text NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS sandbox.requests (
    key text PRIMARY KEY,
    body jsonb NOT NULL,
    answer jsonb NOT NULL,
    created timestamptz NOT NULL DEFAULT clock_timestamp()
);
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'sandbox.refunds'::regclass AND attname = 'key'
    ) THEN
        ALTER TABLE sandbox.refunds ADD COLUMN key text; -- ledgers of earlier versions lack it
    END IF;
END $$;
"""

CONNECTIONS = 4  # all threads of a process share them: each use takes milliseconds
WAIT_SECONDS = 30.0  # for a free connection


class InProgress(Exception):
    """Another transaction is working on the request with this key."""


class KeyReused(Exception):
    """The key was used with another body. This is a bug of ours; a real gateway refuses such a request too."""


class Ledger:
    """One transaction on the ledger."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def once(self, key: str, body: Answer, work: Callable[["Ledger"], Answer]) -> Answer:
        """Return the answer to the request with a key: the stored one, or else that of `work`, and store it.

        Raise InProgress if another transaction works on the request, and KeyReused if the key was used with another
        body.
        """
        [(free, known, first_answer)] = self.rows(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(asked.key, 7)), r.body, r.answer"
            " FROM (SELECT %s AS key) AS asked LEFT JOIN sandbox.requests r ON r.key = asked.key",
            key,
        )
        if not free:
            raise InProgress(f"{key} is being worked on")
        if known is not None:
            if known != body:
                raise KeyReused(f"{key} was used for {known}, not {body}")
            return dict(first_answer)
        answer = work(self)
        insert = "INSERT INTO sandbox.requests (key, body, answer) VALUES (%s, %s, %s)"
        try:
            self.rows(insert, key, json.dumps(body), json.dumps(answer))
        except psycopg2.errors.UniqueViolation as conflict:
            # Another transaction answered just after we had looked.
            raise InProgress(f"{key} was being worked on") from conflict
        return answer

    def intent_create(self, *, amount_minor: int, currency: str, payment: int, token: str) -> str:
        """Write an intent and return its id."""
        insert = "INSERT INTO sandbox.intents (amount, currency, payment, token) VALUES (%s, %s, %s, %s)"
        return str(self.rows(f"{insert} RETURNING id", amount_minor, currency, payment, token)[0][0])

    def intent(self, intent: str, *, lock: bool = False) -> Answer | None:
        """Return an intent as a dict, or None if there is none.

        With `lock`, lock the intent for a change. Do not lock it to read: a lock writes to the disk.
        """
        select = "SELECT amount, currency, token, outcome FROM sandbox.intents WHERE id = %s"
        if lock:
            select += " FOR UPDATE"
        for amount, currency, token, outcome in self.rows(select, intent):
            return {"amount": amount, "currency": currency, "token": token, "outcome": outcome}
        return None

    def intent_conclude(self, intent: str, outcome: Outcome) -> None:
        """Write the outcome of an intent and an event about it, unless the intent has an outcome already."""
        update = "UPDATE sandbox.intents SET outcome = %s WHERE id = %s AND outcome = %s RETURNING id"
        insert = "INSERT INTO sandbox.events (intent, type) SELECT id, %s FROM concluded"
        values = (outcome, intent, Outcome.UNCONFIRMED, f"payment.{outcome}")
        self.rows(f"WITH concluded AS ({update}) {insert}", *values)

    def refund_create(self, *, key: str, intent: str, amount_minor: int, refund: int) -> str | None:
        """Write a refund and return its id.

        Write nothing and return None if the intent was not charged, or if too little is left of the charge.
        """
        charge = self.intent(intent, lock=True)
        [(before,)] = self.rows(
            "SELECT COALESCE(sum(amount), 0) FROM sandbox.refunds WHERE intent = %s", intent
        )
        if charge is None or charge["outcome"] != Outcome.SUCCEEDED:
            return None
        if before + amount_minor > charge["amount"]:
            return None
        insert = (
            "INSERT INTO sandbox.refunds (intent, amount, refund, key) VALUES (%s, %s, %s, %s) RETURNING id"
        )
        return str(self.rows(insert, intent, amount_minor, refund, key)[0][0])

    def refund(self, reference: str) -> str | None:
        """Return `reference` if a refund has this id, otherwise None."""
        [(found,)] = self.rows("SELECT max(id) FROM sandbox.refunds WHERE id = %s", reference)
        return found

    def refund_find(self, *, key: str, intent: str) -> str | None:
        """Return the id of the refund of an intent that was made with the key, or None if there is none."""
        select = "SELECT max(id) FROM sandbox.refunds WHERE intent = %s AND key = %s"
        [(found,)] = self.rows(select, intent, key)
        return found

    def charges(self, *, since: datetime) -> list[Answer]:
        """Return the charged intents made since `since`, each as the fields of a ListedCharge."""
        select = (
            "SELECT intents.id, payment, intents.amount, COALESCE(sum(refunds.amount), 0), currency, created"
            "  FROM sandbox.intents LEFT JOIN sandbox.refunds ON refunds.intent = intents.id"
            " WHERE outcome = %s AND created >= %s GROUP BY intents.id"
        )
        names = ("intent", "payment_id", "charged_minor", "refunded_minor", "currency", "created")
        found = (dict(zip(names, row, strict=True)) for row in self.rows(select, Outcome.SUCCEEDED, since))
        return [{**charge, "refunded_minor": int(charge["refunded_minor"])} for charge in found]

    def prune(self, *, before: datetime) -> int:
        """Delete the stored answers and the events from before `before`; return how many rows were deleted.

        Intents and refunds stay: they are the records of money.
        """
        deleted = (
            "WITH gone AS (DELETE FROM sandbox.{} WHERE created < %s RETURNING 1) SELECT count(*) FROM gone"
        )
        return sum(self.rows(deleted.format(table), before)[0][0] for table in ("requests", "events"))

    def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Run a statement on the ledger, and return its rows."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def opened(*, to_read: bool = False) -> Iterator[Ledger]:
    """Open a transaction on the ledger and commit it; raise GatewayUnknown when the ledger cannot be reached.

    With `to_read`, no transaction is opened. The block may then only read.
    """
    pool = _pool
    try:
        connection = pool.take(_connect)
        broken = True
        try:
            connection.autocommit = to_read
            with nullcontext() if to_read else connection:
                yield Ledger(connection)
            broken = False
        finally:
            pool.give_back(connection, broken=broken)
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise GatewayUnknown(str(error).strip()) from error


def close() -> None:
    """Close the idle connections; the next use opens a new one."""
    _pool.close_idle()


def forget() -> None:
    """Forget the connections without closing them, in a process that was forked: they belong to its parent."""
    global _pool
    _kept.append(_pool)  # without a reference to them, Python would close them
    _pool = _pool_make()


def _pool_make() -> ConnectionPool:
    return ConnectionPool(most=CONNECTIONS, seconds=WAIT_SECONDS)


_pool = _pool_make()
_kept: list[ConnectionPool] = []


def _connect() -> psycopg2.extensions.connection:
    """Open and return a connection, and make those tables of the ledger that do not exist."""
    params = django_connection.get_connection_params()
    connection = psycopg2.connect(**{**params, "cursor_factory": None, "application_name": "sandbox"})
    with connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
    return connection
