"""How long the sweeper looks when nothing is due."""

import itertools
import json
import sys
import time

from tickets import services


def main(_events: int, _reservations: int, count: int) -> None:
    """Will print, as JSON, the seconds of so many ticks, one after the other."""
    times: list[float] = []

    def pause() -> bool:
        times.append(time.perf_counter())
        return len(times) > count

    services.sweep_for(seconds=600, pause=pause)  # the first tick, which takes the lock, is not counted
    json.dump([after - before for before, after in itertools.pairwise(times)], sys.stdout)
