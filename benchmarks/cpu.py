"""Measure the CPU time of groups of processes, in seconds."""

import contextlib
import time
from collections.abc import Mapping, Sequence

import psutil

from benchmarks.system import System


class Meter:
    """Measure the CPU time that each group of processes uses between two readings.

    A group has one or more processes that we started, by name, each with all its descendants. A process that ended
    counts in the process that waited for it. The kernel counts in hundredths of a second.
    """

    def __init__(self, system: System, groups: Mapping[str, Sequence[str]]) -> None:
        self._system = system
        self._groups = groups
        self._before = self._read()

    def spent(self) -> dict[str, float]:
        """Return the seconds since the last call, by group. The time of the reading itself is left out."""
        client = _client_time()
        now = self._read()
        before, self._before = self._before, now
        return {**{name: now[name] - before[name] for name in now}, "client": client - before["client"]}

    def _read(self) -> dict[str, float]:
        found = {name: sum(map(self._of, children)) for name, children in self._groups.items()}
        return {**found, "client": _client_time()}

    def _of(self, child: str) -> float:
        total = 0.0
        for process in self._system.group(child):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
        return total


def _client_time() -> float:
    """Return the seconds of this process and of the programs that it ran to their end, such as pgbench."""
    times = psutil.Process().cpu_times()
    return time.process_time() + float(times.children_user + times.children_system)
