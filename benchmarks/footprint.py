"""Measure what the whole system takes without visitors, as `bin/up` runs it: memory, CPU, and the time to start."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks import schedstat
from benchmarks.report import Report, Scale
from benchmarks.system import System
from overlord.embedded import ports, program
from overlord.embedded.state import Folder

SETTLING = 3.0  # seconds in which a process that has just started is not idle yet
GIVE_UP = 600.0  # seconds, for a start that also installs
STOPPING = 30.0
# Variables that the benchmarks set for their own processes. `bin/up` does not get them: it starts its own servers.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "OVERLORD_DATA", "DJANGO_SETTINGS_MODULE")
MB = 1e6

Groups = dict[str, list[psutil.Process]]


def run(_system: System, scale: Scale) -> Report:
    """Measure the footprint. The benchmarks' own servers are idle meanwhile, and are not counted."""
    report = Report("Footprint")
    with _folder() as data:
        with _up(data) as (_, pid):  # may install packages, so it is not timed
            time.sleep(SETTLING)
            _add_idle(report, pid, seconds=scale.pick(3, 15))
        for _ in range(scale.rounds):
            _add_start(report, "bin/up, again", data)
    if not scale.quick:
        with _folder() as data:
            _add_start(report, "bin/up, no data yet", data)
    report.notes += [
        "Memory is PSS, which counts shared pages once; idle CPU is a share of one core, without visitors.",
        "Seconds are counted until /readyz answers 200. docs/performance.md also has the times of a fresh clone and"
        " of `bin/test`, which are not measured here.",
    ]
    return report


def _add_start(report: Report, arm: str, data: Path) -> None:
    with _up(data) as (seconds, _):
        report.add(arm, seconds=seconds)


def _add_idle(report: Report, pid: int, *, seconds: float) -> None:
    before = _cpu(_groups(pid))
    time.sleep(seconds)
    groups = _groups(pid)
    after = _cpu(groups)
    memory = {name: sum(map(_memory, group)) for name, group in groups.items()}
    spent = {name: after[name] - before.get(name, 0.0) for name in groups}
    rows = {name: (memory[name], spent[name]) for name in groups}
    rows["all"] = (sum(memory.values()), sum(spent.values()))
    for name, (size, cpu) in rows.items():
        report.add(name, **{"MB": size / MB, "idle CPU %": cpu / seconds * 100})


def _groups(pid: int) -> Groups:
    """Return each program with all its descendants, by the name of its log."""
    supervisor = psutil.Process(pid)
    groups = {"up": [supervisor]}
    for child in supervisor.children():
        name = Path(os.readlink(f"/proc/{child.pid}/fd/1")).stem  # its log
        groups[name] = [child, *child.children(recursive=True)]
    return groups


def _cpu(groups: Groups) -> dict[str, float]:
    return {name: sum(schedstat.cpu(process.pid) for process in group) for name, group in groups.items()}


def _memory(process: psutil.Process) -> int:
    try:
        size: int = process.memory_full_info().pss
    except psutil.NoSuchProcess:
        return 0
    return size


@contextlib.contextmanager
def _up(data: Path) -> Iterator[tuple[float, int]]:
    """Run `bin/up`; yield the seconds until it was ready, and its process id."""
    port, log = ports.any_free(), data / "bench.log"
    env = {name: value for name, value in os.environ.items() if name not in OURS}
    argv = [str(program.ROOT / "bin" / "up"), "--no-demo", "--port", str(port)]
    began = time.monotonic()
    with log.open("wb") as output:
        up = subprocess.Popen(
            argv,
            env={**env, "OVERLORD_DATA": str(data)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not program.readiness(port)[0]:
            if up.poll() is not None or time.monotonic() > began + GIVE_UP:
                raise RuntimeError(f"{argv} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield time.monotonic() - began, up.pid
    finally:
        _stop(up)


def _stop(up: subprocess.Popen[bytes]) -> None:
    """Stop `bin/up` as Ctrl-C does, by force after `STOPPING` seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(up.pid, signal.SIGINT)
    try:
        up.wait(STOPPING)
    except subprocess.TimeoutExpired:
        os.killpg(up.pid, signal.SIGKILL)  # the kernel then ends its children
        up.wait()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="overlord-bench-")).resolve()
    try:
        yield folder
    finally:
        Folder(folder).remove()  # also PostgreSQL's external folder
        shutil.rmtree(folder)
