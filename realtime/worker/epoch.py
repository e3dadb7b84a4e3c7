"""Begin a new epoch: versions and ids that this database gives out from now on were never given out before.

Run by the command `live_epoch` after migrations, while nothing else of ours runs on a restored database.

Note [Another history]: a restored backup goes back, and so does a server that takes over without the last
transactions. Numbers that were given out in the lost history must not be given out again: versions of frames, which
browsers keep, and ids, which are in mails, tickets and the gateway's books. A history is known by three facts of
PostgreSQL: the cluster, the database (a restore makes another), and the timeline (a fail-over and a recovery to a
point in time begin another).
"""

from overlord.kernel.db import rows, transaction
from realtime import store
from realtime.worker.flush import LOCK

IDS_LIFTED_BY = 1_000_000  # more than are given between two backups

HISTORY = (
    "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid || '/'"
    " || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS history"
    " FROM pg_database WHERE datname = current_database()"
)
KNOWN = "SELECT history FROM realtime_history"
KEEP = "WITH earlier AS (DELETE FROM realtime_history) INSERT INTO realtime_history (history) VALUES (%s)"
LIFT_VERSIONS = (
    "SELECT setval('realtime_version', greatest(last_value,"
    " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS version FROM realtime_version"
)
LIFT_IDS = (
    "SELECT setval(format('%%I.%%I', schemaname, sequencename)::regclass, last_value + %s) FROM pg_sequences"
    " WHERE schemaname = 'public' AND sequencename <> 'realtime_version'"
    " AND data_type = 'bigint'::regtype AND last_value IS NOT NULL"
)


def epoch_begin() -> int:
    """Raise the frame versions to the microseconds since 1970 if that is higher, and return the new value.

    A flush adds one, so that versions drawn later are always higher. JavaScript holds them exactly until 2255. If
    the database has another history than the last time, lift the ids too, and delete what Redis keeps of the other
    one. Raises RedisError, before anything was changed.
    """
    with transaction():
        rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        [present] = rows(HISTORY)
        known = {row["history"] for row in rows(KNOWN)}
        if known and present["history"] not in known:
            store.kept_delete()
            rows(LIFT_IDS, [IDS_LIFTED_BY])
        if present["history"] not in known:
            rows(KEEP, [present["history"]])
        lifted = rows(LIFT_VERSIONS)
    return int(lifted[0]["version"])
