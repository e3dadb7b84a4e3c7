"""Measure how long the sweeper takes when nothing is due."""

import itertools
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime

from overlord.kernel import clock
from tickets import services


def main(_events: int, _reservations: int, count: int) -> None:
    """Print, as JSON, the seconds of each of so many ticks."""
    times: list[float] = []

    def instants() -> Iterator[datetime]:
        yield clock.now()  # the first tick, which takes the lock, is not counted
        while len(times) <= count:
            times.append(time.perf_counter())
            yield clock.now()

    services.sweep(instants=instants())
    json.dump([after - before for before, after in itertools.pairwise(times)], sys.stdout)
