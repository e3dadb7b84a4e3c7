"""Begin a new epoch: from now on, this database gives out only versions and ids that were never given out before.

Runs in the command `live_epoch` after migrations. On a restored database no other process of ours runs then.

Note [Another history]: after the restore of a backup the latest transactions are missing. They can also be missing
when another server has taken over. The numbers that these transactions gave out must not be given out again:
browsers keep the versions of frames, and the ids are in mails, in tickets and at the payment gateway. Three facts
of PostgreSQL show which history a database has: the cluster, the database (a restore makes another), and the
timeline (a fail-over or a recovery to a point in time begins another).
"""

from overlord.kernel.db import rows, transaction
from realtime import store
from realtime.worker.flush import LOCK

IDS_LIFTED_BY = 1_000_000  # more ids than are given out between two backups

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
    """Lift the versions of frames to the microseconds since 1970 if that is higher; return the latest version.

    Each later flush adds one or more. JavaScript can hold such numbers exactly until the year 2255. If the database
    has another history than at the last call, lift the ids too, and delete the frames and values that Redis has of
    the other history. Raise RedisError; then nothing in PostgreSQL is changed.
    """
    with transaction():
        rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        [current] = rows(HISTORY)
        known = {row["history"] for row in rows(KNOWN)}
        if known and current["history"] not in known:
            store.kept_delete()
            rows(LIFT_IDS, [IDS_LIFTED_BY])
        if current["history"] not in known:
            rows(KEEP, [current["history"]])
        lifted = rows(LIFT_VERSIONS)
    return int(lifted[0]["version"])
