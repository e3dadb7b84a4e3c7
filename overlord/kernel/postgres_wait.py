"""Limit every wait for PostgreSQL, in every thread of this process. Installed when Django is set up.

The time-outs of PostgreSQL (statement_timeout, lock_timeout) work only while PostgreSQL runs. If its processes are
frozen, the kernel of its machine still acknowledges what we send, so that the time-outs of TCP do not help either.
"""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from django.conf import settings
from psycopg2 import extensions

from overlord.kernel import commit_watch

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 18.0  # longer than statement_timeout
# Used instead of ANSWER_SECONDS after a wait has failed, until PostgreSQL answers again.
SUSPECT_SECONDS = 2.0
PATIENT_SECONDS = 86_400.0

_EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
_CONNECTED = {extensions.STATUS_READY, extensions.STATUS_BEGIN, extensions.STATUS_PREPARED}
_suspect = False
_patient = False


def install() -> None:
    """Make psycopg2 call `wait` wherever it waits for the server."""
    extensions.set_wait_callback(wait)


@contextmanager
def patience() -> Iterator[None]:
    """During the block, let all threads of this process wait up to a day for an answer. For long commands."""
    global _patient
    _patient = True
    try:
        yield
    finally:
        _patient = False


def wait(connection: extensions.connection) -> None:
    """Wait until the server answers.

    Raise OperationalError if it does not answer in time. Then psycopg2 closes the connection.
    """
    global _suspect
    state = connection.poll()
    if state == extensions.POLL_OK:
        return
    seconds = _longest_wait(connection)
    deadline = time.monotonic() + seconds
    poller = select.poll()
    while state != extensions.POLL_OK:
        poller.register(connection.fileno(), _EVENTS[state])
        left, long = deadline - time.monotonic(), commit_watch.LONG_SECONDS
        if not poller.poll(max(0.0, min(left, long)) * 1000):
            if left > long:
                _wake_commit_watch(connection)
                continue
            _suspect = True
            raise psycopg2.OperationalError(f"PostgreSQL did not answer within {seconds:.0f} s.")
        state = connection.poll()
    _suspect = False


def _wake_commit_watch(connection: extensions.connection) -> None:
    """Wake the thread that ends waits for a standby, because this wait may be for one.

    Do nothing within `patience`, because such a command is allowed to wait. Do nothing for a wait in another
    database: a statement there perhaps drops or renames our database, and PostgreSQL forbids that while the thread
    has a session in our database.
    """
    if _patient or connection.status not in _CONNECTED:
        return
    if connection.info.dbname == settings.DATABASES["default"]["NAME"]:
        commit_watch.watch.wake()


def _longest_wait(connection: extensions.connection) -> float:
    """Return for how many seconds this connection may wait for an answer."""
    if connection.status not in _CONNECTED:
        return CONNECT_SECONDS
    if _patient:
        return PATIENT_SECONDS
    return SUSPECT_SECONDS if _suspect else ANSWER_SECONDS
