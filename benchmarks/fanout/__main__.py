"""CPU per delivered message of ours beside others', in one run: `python -m benchmarks.fanout`.

Rounds are interleaved and every figure is the median of its rounds, with the range. Read ratios, not absolutes.
"""

import argparse
import contextlib
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overlord.embedded import binaries, ports, processes
from overlord.embedded.processes import Child
from overlord.embedded.servers import Valkey

WARM_UP = 1.0
AT_FIFTY = ("ours", "ours, conflation off", "ws", "socketio")  # also at fifty changes a second


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.fanout", description=__doc__)
    options.add_argument("--sockets", type=int, default=300)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=6.0)
    options.add_argument("--json", type=Path, help="where to write all figures")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="overlord-fanout-") as folder, _valkey(Path(folder)) as valkey:
        results = _run(valkey, Path(folder), given)
    report = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        **vars(given),
        "results": results,
    }
    if given.json:
        given.json.write_text(json.dumps(report, indent=2, default=str) + "\n")
    _print(report)


@contextlib.contextmanager
def _valkey(folder: Path) -> Iterator[Valkey]:
    server = Valkey(
        binary=binaries.valkey(),
        data=folder / "valkey",
        port=ports.any_free(),
        password=secrets.token_urlsafe(),
    )
    child = processes.start(server.program(), folder)
    try:
        child.wait_ready()
        os.environ |= {
            "REDIS_URL": server.url,
            "ENVIRONMENT": "test",
            "DJANGO_SETTINGS_MODULE": "overlord.settings",
        }
        os.environ |= {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "OVERLORD_DATA": str(folder)}
        import django

        django.setup()
        yield server
    finally:
        processes.stop([child])


def _run(valkey: Valkey, folder: Path, given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    from benchmarks.fanout.arms import all_arms
    from realtime import store
    from realtime.store import Frame

    store.frames_store([Frame(stream="event.1", version=1, data="{}", fingerprint="")])
    arms = all_arms(valkey)
    children: dict[str, Child] = {}
    versions = iter(range(2, 1 << 60))
    results: dict[str, list[dict[str, float]]] = {}
    try:
        for arm in arms:
            children[arm.name] = processes.start(arm.program, folder)
            children[arm.name].wait_ready()
        for nth in range(given.rounds):
            turns = [(arm, 10) for arm in arms] + [(arm, 50) for arm in arms if arm.name in AT_FIFTY]
            for arm, rate in turns if nth % 2 == 0 else reversed(turns):
                measured = _round(arm, children[arm.name].pid, rate, versions, given)
                results.setdefault(f"{arm.name}, {rate}/s", []).append(measured)
                print(f"round {nth + 1}: {arm.name}, {rate}/s: {measured}", file=sys.stderr)
    finally:
        processes.stop(list(children.values()))
    return results


def _round(
    arm: Any, pid: int, rate: int, versions: Iterator[int], given: argparse.Namespace
) -> dict[str, float]:
    from benchmarks.fanout.sockets import Crowd

    crowd = Crowd(arm.port, arm.path, given.sockets)
    try:
        crowd.read_until(time.monotonic() + WARM_UP)
        _publish(arm, crowd, versions, rate=rate, seconds=WARM_UP)
        messages, cpu = crowd.messages(), _cpu(pid)
        changes, version = _publish(arm, crowd, versions, rate=rate, seconds=given.seconds)
        crowd.read_until(time.monotonic() + 0.5)
        spent, delivered = _cpu(pid) - cpu, crowd.messages() - messages
        behind = sum(
            f'"version":{version},'.encode() not in client.last.replace(b": ", b":").replace(b", ", b",")
            for client in crowd.clients
        )
    finally:
        crowd.close()
    time.sleep(1.2)
    return {
        "us_per_message": round(spent * 1e6 / max(1, delivered), 1),
        "us_per_change_and_socket": round(spent * 1e6 / (changes * given.sockets), 1),
        "messages_per_socket_and_second": round(delivered / given.sockets / given.seconds, 1),
        "behind": behind,
    }


def _publish(arm: Any, crowd: Any, versions: Iterator[int], *, rate: int, seconds: float) -> tuple[int, int]:
    changes, version = int(rate * seconds), 0
    started = time.monotonic()
    for nth in range(changes):
        crowd.read_until(started + nth / rate)
        version = next(versions)
        arm.publish(version, _event(version))
    return changes, version


def _event(version: int) -> dict[str, Any]:
    """An event of two ticket types, as its stream shows it."""
    kind = {
        "event": 1, "ticket_type": "Regular", "price": "15.00", "currency": "EUR", "amount": 5000,
        "available": 4000, "held": 500, "sold": 500, "max_per_user": 10, "sale": "open", "opens_at": None,
        "closes_at": "2026-12-24T20:00:00Z", "next_release_at": "2026-11-22T20:00:00.123456Z", "version": version,
    }  # fmt: skip
    return {
        "id": 1, "name": "A concert", "date": "2026-12-24T20:00:00Z", "description": "", "currency": "EUR",
        "sale": "open", "version": version, "server_time": "2026-11-22T19:50:00.123456Z",
        "tickets": [{"id": 1, **kind}, {"id": 2, **kind}],
    }  # fmt: skip


def _cpu(pid: int) -> float:
    """The seconds of CPU that a process's threads have had; in nanoseconds, where utime counts in hundredths."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _print(report: dict[str, Any]) -> None:
    names = ["us_per_message", "us_per_change_and_socket", "messages_per_socket_and_second", "behind"]
    print(
        f"{report['sockets']} sockets, {report['rounds']} rounds of {report['seconds']:.0f} s,"
        f" load {report['load']:.1f}"
    )
    print(f"| {'arm':38} | us CPU a message | us a change and socket | messages/s a socket | behind |")
    print(f"|{'-' * 40}|---:|---:|---:|---:|")
    for arm, rounds in report["results"].items():
        cells = [[each[name] for each in rounds] for name in names]
        shown = [f"{statistics.median(cell):g} ({min(cell):g}-{max(cell):g})" for cell in cells]
        print(f"| {arm:38} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
