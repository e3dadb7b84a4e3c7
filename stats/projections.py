"""What this app shows on the `stats` stream. Nobody announces it: it is read anew while somebody watches."""

from collections.abc import Collection
from typing import Any

from overlord.kernel import clock
from realtime import streams
from stats import monitor


def project_monitor(_ids: Collection[int]) -> dict[int, dict[str, Any]]:
    """Will give the monitor's whole picture."""
    return {streams.ALONE: monitor.picture(now=clock.now())}
