"""Where the versions of live frames begin."""

from overlord.kernel.db import rows, transaction
from realtime.drain import LOCK


def epoch_begin() -> int:
    """Will lift the versions to the microseconds since 1970, if that is higher, and give the value.

    A drain adds one, so that versions drawn later are always higher: a restored database, whose sequence went
    back, never loses to frames that a cache or a browser has kept. JavaScript holds them exactly until 2255.
    """
    with transaction():
        rows("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        lifted = rows(
            "SELECT setval('realtime_version', greatest(last_value,"
            " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS version FROM realtime_version"
        )
    return int(lifted[0]["version"])
