"""Measure speed, side by side: `bin/bench [NAME]... [--quick] [--json FILE]`.

Each benchmark runs its arms in turn on servers of its own, checks the invariants of the sale after each arm, and
ends with its goals. A benchmark has three rounds. In a run of all benchmarks it has two, with shorter arms, if
those before it took longer than they may. So the whole takes about twenty minutes on a slow machine too.

Read the ratios. The absolute figures of two machines, or of two days, cannot be compared.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

from benchmarks.report import Report, Scale
from benchmarks.system import System, running

# The seconds that each benchmark may take: eighteen minutes together. On a slow machine some take longer even with
# two rounds, but a whole run keeps to twenty minutes.
SECONDS = {
    "reserve": 83,
    "batches": 28,
    "first_press": 20,
    "sold_out": 57,
    "expiry": 98,
    "pay": 35,
    "gateways": 97,
    "growth": 89,
    "lag": 31,
    "fanout": 97,
    "footprint": 72,
    "opening": 115,
    "log_ins": 57,
    "door": 64,
    "line": 143,
}
RESULTS = Path(__file__).parents[1] / ".overlord" / "bench.json"


def main() -> int:
    options = argparse.ArgumentParser(prog="bin/bench", description=__doc__)
    options.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECONDS)}; all if none")
    options.add_argument("--quick", action="store_true", help="a few minutes, to check that everything works")
    options.add_argument("--json", type=Path, default=RESULTS, help="the file for all figures")
    given = options.parse_args()
    names = [name.replace("-", "_") for name in given.names]
    if unknown := set(names) - set(SECONDS):
        options.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SECONDS)}")
    started = time.monotonic()
    reports: list[Report] = []
    with running() as system:
        elapsed = 0.0
        for name in names or SECONDS:
            began = time.monotonic()
            scale = Scale(quick=given.quick, late=not names and is_late(name, elapsed))
            _say(f"{name}, rounds: {scale.rounds} ...")
            reports.append(_run(name, system, scale))
            print(reports[-1].as_text(), end="\n\n", flush=True)
            took = time.monotonic() - began
            elapsed += took
            _say(f"{name}: {took:.0f} s")
            _write(given.json, reports, quick=given.quick)  # now, because a later benchmark may fail
    missed = [goal.name for report in reports for goal in report.goals if goal.verdict == "MISSED"]
    _say(f"{time.monotonic() - started:.0f} s. All figures: {given.json}")
    _say(f"Missed: {'; '.join(missed)}" if missed else "Every goal was met.")
    return bool(missed) and not given.quick  # a quick run is too short to decide


def is_late(name: str, elapsed: float) -> bool:
    """Return whether the benchmarks before this one took longer than they may: `elapsed` seconds together."""
    names = list(SECONDS)
    return elapsed > sum(SECONDS[before] for before in names[: names.index(name)])


def _run(name: str, system: System, scale: Scale) -> Report:
    try:
        report: Report = importlib.import_module(f"benchmarks.{name}").run(system, scale)
    finally:
        system.stop()
    return report


def _write(path: Path, reports: list[Report], *, quick: bool) -> None:
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    results = {"quick": quick, **machine, "benchmarks": [report.as_plain() for report in reports]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
