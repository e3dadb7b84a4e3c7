"""Check that PostgreSQL has the time-outs, warnings, locks and notifications that we rely on.

If one is missing, no statement raises an error. So each web process, live process and worker calls `start` at its
start, and ends if something is missing. Later a thread of the process checks every minute. If something is missing
then, the log and `/readyz` say so, and the process goes on, because it can still sell.
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
    "DATABASE_DIRECT_URL (or DATABASE_URL if it is not set) leads to a pooler. There a lock can end up in the"
    " session of another client. Set DATABASE_DIRECT_URL to the address of PostgreSQL itself."
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
    """Check now, and from then on in a thread. If something is missing now, raise SystemExit with sentences.

    If PostgreSQL is away now, the process starts. When PostgreSQL is back, the thread checks, and ends the process
    if something is missing.
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
    """Return a sentence for time-outs and one for warnings, if our connections lack them; [] if nothing is missing.

    The sentences say how to set what is missing. A time-out that is longer than ours counts as missing.
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
        f"PostgreSQL does not end what takes too long ({', '.join(sorted(lacking))}), because the pooler drops"
        f" the settings of a connection. Run this, and let the pooler connect again: {statements}",
    ]


def _sessions_missing() -> list[str]:
    """Return a sentence that says what is wrong, in a list, if a pooler shares our sessions; else [].

    A shared session keeps no lock, and no notification arrives on it.
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
    """Check again, and return whether PostgreSQL has answered a check of this process by now.

    `decided` says whether PostgreSQL had answered an earlier check. If something is missing at the first check that
    PostgreSQL answers, end the process.
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
