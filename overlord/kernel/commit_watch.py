"""End the waits of commits for a synchronous standby that does not answer.

Runs in a thread of each process in which a commit has waited for long.

No setting of PostgreSQL bounds that wait: statement_timeout and transaction_timeout end before it begins. So
a thread that has waited for LONG_SECONDS wakes this one. It cancels the commits of our role that have waited for a
standby as long, and nothing else. PostgreSQL answers such a commit with a warning, which becomes CommitUnknown
(postgresql/standby.py). Migrations may wait: their sessions have a name of their own.
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
PATIENT_NAME = "migrations"  # of sessions whose commits may wait
LONG_SECONDS = 1.0
TICK_SECONDS = 0.1
ON_SECONDS = 3.0  # for which the thread keeps looking after a commit has waited for long
CANCEL = """
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
 WHERE usename = session_user AND datname = current_database() AND application_name <> %s
   AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - make_interval(secs => %s)
"""


class CommitWatch:
    """The thread, and how to wake it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0

    def wake(self) -> None:
        """Let the thread look for ON_SECONDS, because another thread has waited for LONG_SECONDS."""
        self._asked_at = time.monotonic()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; the next long wait starts another."""
        with self._lock:
            thread, self._asked_at = self._thread, 0.0
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        try:
            with closing(listening.connect(name=NAME, direct=True)) as session:
                while time.monotonic() - self._asked_at < ON_SECONDS:
                    cancel_long(session)
                    time.sleep(TICK_SECONDS)
        except psycopg2.Error as error:
            logger.info("Waits for the standby were not looked for: %s", str(error).strip())


def cancel_long(session: psycopg2.extensions.connection) -> int:
    """Cancel commits of our role that have waited for LONG_SECONDS, and count them."""
    with session.cursor() as cursor:
        cursor.execute(CANCEL, [PATIENT_NAME, LONG_SECONDS])
        ended: int = cursor.rowcount
    if ended:
        standby.missed()
        logger.warning("%s commits waited for the synchronous standby in vain.", ended)
    return ended


watch = CommitWatch()
