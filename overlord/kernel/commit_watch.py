"""End the waits of commits for a synchronous standby that does not answer.

Runs in a separate thread, in each process in which a thread has waited for PostgreSQL for LONG_SECONDS. The waiting
thread wakes this thread (postgres_wait.py).

No setting of PostgreSQL limits the wait of a commit: statement_timeout and transaction_timeout no longer count when
it begins. So this thread cancels the commits of our role that have waited for LONG_SECONDS, and nothing else.
PostgreSQL answers a cancelled commit with a warning, which becomes CommitUnknown (postgresql/standby.py). The
commits of migrations are allowed to wait longer; their sessions have the name PATIENT_NAME.
"""

import logging
import threading
import time
from contextlib import closing

import psycopg2
import psycopg2.extensions

from overlord.kernel import listening
from overlord.kernel.postgresql.standby import standby

logger = logging.getLogger(__name__)

NAME = "commit-watch"
PATIENT_NAME = "migrations"  # the name of sessions whose commits are never cancelled
LONG_SECONDS = 1.0
TICK_SECONDS = 0.1
ON_SECONDS = 3.0  # the thread runs for this long after it was last woken
CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
 WHERE usename = session_user AND datname = current_database() AND application_name <> %s
   AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - make_interval(secs => %s)
"""


class CommitWatch:
    """The thread that cancels long commits. Any thread may wake it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._woken_at = 0.0

    def wake(self) -> None:
        """Run the thread for at least ON_SECONDS, because the caller has waited for LONG_SECONDS."""
        self._woken_at = time.monotonic()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for its end. The next `wake` starts another."""
        with self._lock:
            thread, self._woken_at = self._thread, 0.0
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            with closing(listening.connect(name=NAME, direct=True)) as session:
                while time.monotonic() - self._woken_at < ON_SECONDS:
                    cancel_long(session)
                    time.sleep(TICK_SECONDS)
        except psycopg2.Error as error:
            logger.info("The commit watch could not look for waits that are too long: %s", str(error).strip())


def cancel_long(session: psycopg2.extensions.connection) -> int:
    """Cancel the commits of our role that have waited for LONG_SECONDS; return how many."""
    with session.cursor() as cursor:
        cursor.execute(CANCEL, [PATIENT_NAME, LONG_SECONDS])
        ended: int = cursor.rowcount
    if ended:
        standby.missed()
        logger.warning("%s commits waited for the synchronous standby in vain.", ended)
    return ended


watch = CommitWatch()
