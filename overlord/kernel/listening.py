"""Connections that receive notifications of PostgreSQL, and the proof that notifications arrive.

Used from the threads of web processes and workers, and from the pool threads of the live process.

If a pooler gives each transaction another connection, it accepts LISTEN without an error, but no notification ever
arrives. So each process that listens proves its connection: it sends a notification over another connection to the
address that the application uses, and waits until the notification arrives.
"""

import secrets
import select
import time
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions
from django.db import OperationalError, connection

from overlord.kernel.postgresql.base import reachability

PROOF_SECONDS = 5.0  # the longest wait for the notification that we sent ourselves
AGAIN_SECONDS = 60.0  # after this time, a process listens by a new connection, with a new proof


class NotHeardError(OperationalError):
    """PostgreSQL accepted the LISTEN, but the notification that we sent ourselves has not come."""


def listen(*channels: str, name: str) -> psycopg2.extensions.connection:
    """Return a new connection, not one of Django's, that receives the notifications of these channels.

    The method `poll()` of the connection does not wait: it adds the notifications that have come to the list
    `notifies`, and raises psycopg2.Error when the connection is lost. `name` is the connection's name in
    pg_stat_activity. Raise django.db.OperationalError when PostgreSQL is away, and NotHeardError when no
    notification arrives.
    """
    proof = f"proof_{secrets.token_hex(8)}"
    with connection.wrap_database_errors:
        listening = connect(name=name, direct=True)
        try:
            with listening.cursor() as cursor:
                cursor.execute("; ".join(f'LISTEN "{channel}"' for channel in (proof, *channels)))
            _notify(proof)
            _await(listening, proof)
            with listening.cursor() as cursor:
                cursor.execute(f'UNLISTEN "{proof}"')
        except BaseException:
            listening.close()
            raise
    return listening


def connect(*, name: str, direct: bool) -> psycopg2.extensions.connection:
    """Return a new connection that commits each statement; raise psycopg2.Error.

    A `direct` connection leads to PostgreSQL itself (DATABASE_DIRECT_URL). Otherwise the connection leads to the
    same address as those of the application (DATABASE_URL).
    """
    ours: Any = connection
    params = ours.get_direct_params() if direct else ours.get_connection_params()
    params = {**params, "cursor_factory": None, "application_name": name}
    made = reachability.attempt(partial(psycopg2.connect, **params))
    made.autocommit = True
    return made


def _notify(channel: str) -> None:
    sender = connect(name="proof", direct=False)
    try:
        with sender.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [channel])
    finally:
        sender.close()


def _await(listening: psycopg2.extensions.connection, proof: str) -> None:
    """Wait for the proof and remove it from the notifications; leave all others there. Raise NotHeardError."""
    until = time.monotonic() + PROOF_SECONDS
    while True:
        listening.poll()
        for notification in listening.notifies:
            if notification.channel == proof:
                listening.notifies.remove(notification)
                return
        left = until - time.monotonic()
        if left <= 0:
            raise NotHeardError(
                "No notification arrives from PostgreSQL. DATABASE_DIRECT_URL must lead to PostgreSQL itself, to"
                " the server behind DATABASE_URL, and not to a pooler."
            )
        select.select([listening], [], [], left)
