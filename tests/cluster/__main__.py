"""`bin/cluster`: break a cluster of machines under load, and check what must stay true (docs/reliability.md).

Each machine is a network namespace of this one. All of it is stopped and removed at the end, also after Ctrl-C.
"""

import argparse
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from overlord.embedded import postgres_home, processes, program
from tests.cluster import faults, network, programs
from tests.cluster.stage import Stage

REPORTS = program.ROOT / ".cluster"
NOT_HERE = 3
LOCK = Path("/run/overlord-cluster.lock")
GUARDS = ("asynchronous", "ignored-warnings", "plain-reads")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="for which faults begin: 600")
    parser.add_argument("--seed", type=int, default=20261126, help="decides the order of the faults")
    parser.add_argument("--reservations", type=float, default=200.0, help="offered a second: 200")
    parser.add_argument("--payments", type=float, default=10.0, help="offered a second, of those: 10")
    parser.add_argument("--buyers", type=int, default=300, help="how many can be busy at once: 300")
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds in which all must have settled")
    parser.add_argument("--only", default="", help="faults whose name holds one of these words: node,switch")
    parser.add_argument(
        "--control", choices=GUARDS, help="take a guard away: the run must lose what it promised"
    )
    parser.add_argument(
        "--cost", action="store_true", help="break nothing: compare the rate with that of the primary alone"
    )
    parser.add_argument("--report", type=Path, default=REPORTS, help="the folder of the report, .cluster")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    return parser.parse_args(given)


def unsupported() -> str:
    """Return the reason why a cluster cannot run here; an empty text if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "bin/cluster makes network namespaces, which needs Linux and root."
    if lacking := network.missing():
        return f"bin/cluster needs {', '.join(lacking)}, which Debian and Ubuntu have (iproute2, apt, dpkg)."
    return ""


def main() -> int:
    """Run, write the report, and return 1 when something went wrong."""
    asked = arguments()
    if reason := unsupported():
        say(reason)
        return NOT_HERE
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another bin/cluster runs on this machine.")
            return NOT_HERE
        return _run(asked)


def _run(asked: argparse.Namespace) -> int:
    folder = Path(tempfile.mkdtemp(prefix="overlord-cluster-")).resolve()
    asked.report.mkdir(parents=True, exist_ok=True)
    say("Looking for Patroni, etcd and HAProxy ...")
    stage = Stage(
        folder=folder,
        programs=programs.fetched(REPORTS / "programs"),
        synchronous=asked.control != "asynchronous",
        control=asked.control or "",
        hold_seconds=900 if asked.cost else 8,
    )
    if postgres_home.find(folder).identity != "namespace":
        say("PostgreSQL needs user namespaces here, in which root looks like an ordinary user.")
        return NOT_HERE
    processes.allow_open_files()
    bad: list[str] = ["it did not come to its end"]
    try:
        say(f"Starting the cluster in {folder} ...")
        stage.set_up()
        bad = _compare(stage, asked) if asked.cost else _break(stage, asked)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C would leave machines behind
        stage.close()
        if asked.keep or bad:
            say(f"The logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


def _compare(stage: Stage, asked: argparse.Namespace) -> list[str]:
    """Measure what the standbys cost, write the report, and return the missed goals."""
    _set_up_django(stage)
    from tests.cluster import cost

    found = cost.measure(stage, say)
    (asked.report / "cost.md").write_text(found.as_text() + "\n")
    say(found.as_text())
    return [goal.name for goal in found.goals if not goal.met]


def _set_up_django(stage: Stage) -> None:
    os.environ |= {**stage.env("front"), "DJANGO_SETTINGS_MODULE": "overlord.settings"}
    import django

    django.setup()


def _break(stage: Stage, asked: argparse.Namespace) -> list[str]:
    """Run, write the report, and return the failures."""
    _set_up_django(stage)
    from tests.cluster import report
    from tests.cluster.run import Options, Run

    options = Options(
        seconds=asked.seconds, seed=asked.seed, reservations=asked.reservations, payments=asked.payments,
        buyers=asked.buyers, kinds=faults.named(asked.only), deadline=asked.deadline, folder=stage.folder,
    )  # fmt: skip
    say(f"Breaking it for {asked.seconds:.0f} s, seed {asked.seed} ...")
    run = Run(stage, options, say)
    run.go()
    found = report.figures(run)
    say(report.write(found, asked.report).read_text())
    shutil.copy(stage.folder / "history.jsonl", asked.report / "history.jsonl")
    return report.failures(found)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
