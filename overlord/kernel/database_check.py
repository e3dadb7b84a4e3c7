"""Check that PostgreSQL has the time-outs, warnings, locks and notifications that we rely on.

If one is missing, no statement raises an error. So each process that uses PostgreSQL calls `start` once, and does
not start if something is missing. Later a thread of the process checks every minute. If something is missing then,
the log and `/readyz` say so, and the process goes on, because it can still sell.
"""

import logging
import os
import threading
import time

import psycopg2
from django.conf import settings
from django.db import DatabaseError, connection

from overlord.kernel import listening

logger = logging.getLogger(__name__)

NAME = "database-check"
AGAIN_SECONDS = 60.0  # between two checks
UNDECIDED_SECONDS = 2.0  # between two checks while PostgreSQL has not answered the first one
NO_POOLER = (
    "DATABASE_DIRECT_URL (else DATABASE_URL) leads to a pooler. There a lock may end up in the session of"
    " another client. Set DATABASE_DIRECT_URL to the address of PostgreSQL itself."
)
NO_WARNINGS = (
    "PostgreSQL sends no warnings to this role (client_min_messages). The shop needs them, because PostgreSQL warns"
    " when a standby may not have a commit."
    " Set client_min_messages to notice or warning for this role."
)
NO_OPTIONS = (
    "DATABASE_URL leads to a pooler. Set DATABASE_DIRECT_URL too, to the address of PostgreSQL itself."
)

_found: list[str] = []


def found() -> list[str]:
    """Return a sentence for each thing that was missing at the latest check of this process."""
    return _found


def start() -> None:
    """Check now, and from then on in a thread. If something is missing, raise SystemExit with sentences.

    If PostgreSQL is away now, the process starts, and the thread ends it if something is missing once PostgreSQL
    is back.
    """
    decided = False
    try:
        missing = faults()
    except DatabaseError as error:
        logger.warning("The database was not checked: %s", str(error).strip())
    else:
        if missing:
            raise SystemExit("\n".join(missing))
        decided = True
    threading.Thread(target=_repeat, args=[decided], name=NAME, daemon=True).start()


def faults() -> list[str]:
    """Return a sentence for each thing that is missing; raise OperationalError while PostgreSQL is away."""
    with connection.wrap_database_errors:
        try:
            return [*_settings_missing(), *_sessions_missing()]
        except psycopg2.OperationalError as error:
            if "unsupported startup parameter" in str(error):
                return [NO_OPTIONS]
            raise


def _settings_missing() -> list[str]:
    """Return sentences that say what is missing and how to set it: time-outs and warnings of our connections.

    A time-out that is longer than ours counts as missing. Return an empty list if nothing is missing.
    """
    wanted = settings.DATABASE_TIMEOUTS
    ours = listening.connect(name=NAME, direct=False)
    try:
        with ours.cursor() as cursor:
            cursor.execute(
                "SELECT name, setting::bigint FROM pg_settings WHERE name = ANY (%s)", [list(wanted)]
            )
            lacking = {name for name, value in cursor.fetchall() if not 0 < value <= wanted[name]}
            cursor.execute("SELECT quote_ident(session_user)")
            [(role,)] = cursor.fetchall()
            cursor.execute("SHOW client_min_messages")
            unwarned = [NO_WARNINGS] if cursor.fetchall() == [("error",)] else []
    finally:
        ours.close()
    if not lacking:
        return unwarned
    statements = " ".join(
        f"ALTER ROLE {role} SET {name} = {wanted[name]};" for name in wanted if name in lacking
    )
    return [
        *unwarned,
        f"PostgreSQL does not end what takes too long ({', '.join(sorted(lacking))}), since the pooler drops the"
        f" settings of a connection. Run this, and let the pooler connect again: {statements}",
    ]


def _sessions_missing() -> list[str]:
    """Return sentences that say what is wrong if a pooler shares our sessions; else an empty list.

    On such a session no lock is kept, and no notification arrives.
    """
    try:
        ours = listening.listen(name=NAME)
    except listening.NotHeardError as error:
        return [str(error)]
    try:
        with ours.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [(pid,)] = cursor.fetchall()
        return [] if pid == ours.info.backend_pid else [NO_POOLER]
    finally:
        ours.close()


def _repeat(decided: bool) -> None:
    while True:
        time.sleep(AGAIN_SECONDS if decided else UNDECIDED_SECONDS)
        decided = _check(decided=decided)


def _check(*, decided: bool) -> bool:
    """Check again, and return whether PostgreSQL has answered a check by now. `decided`: whether it had before.

    If something is missing at the first check that PostgreSQL answers, end the process.
    """
    try:
        _found[:] = faults()
    except DatabaseError:
        return decided  # not logged here: the requests and tasks of this process log that PostgreSQL is away
    for sentence in _found:
        logger.error("%s", sentence)
    if _found and not decided:
        os._exit(1)
    return True
