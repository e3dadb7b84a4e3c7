"""`bin/chaos`: break the running system under load, and check what must stay true (docs/reliability.md)."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from overlord.embedded import processes, program
from tests.chaos import stage as stages

DEFAULT_SECONDS, LONG_SECONDS = 180.0, 1800.0
REPORTS = program.ROOT / ".chaos"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__)
    parser.add_argument("--long", action="store_true", help="half an hour instead of three minutes")
    parser.add_argument("--seconds", type=float, help="another time, in seconds")
    parser.add_argument("--seed", type=int, default=20261126, help="decides the order of the faults")
    parser.add_argument("--buyers", type=int, default=48, help="how many buy at once")
    parser.add_argument("--deadline", type=float, default=60.0, help="seconds in which all must have settled")
    parser.add_argument(
        "--only", default="", help="only faults whose name holds this word: network, kill, redis"
    )
    parser.add_argument("--report", type=Path, default=REPORTS, help="the folder of the report, .chaos")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    return parser.parse_args()


def main() -> int:
    """Run, write the report, and return 1 when something went wrong."""
    asked = arguments()
    folder = stages.folder_make()
    processes.adopt_orphans()
    processes.allow_open_files()
    say(f"Starting the system in {folder} ...")
    stage = stages.set_up(folder=folder, small_disk=True, skewed=True)
    bad: list[str] = []
    try:
        _set_up_django(stage)
        from tests.chaos import report
        from tests.chaos.run import STEADY_SECONDS, Options, Run

        seconds = asked.seconds or (LONG_SECONDS if asked.long else DEFAULT_SECONDS)
        options = Options(
            seconds=seconds, seed=asked.seed, buyers=asked.buyers, deadline=asked.deadline, folder=folder,
            only=asked.only, steady=min(STEADY_SECONDS, seconds / 5),
        )  # fmt: skip
        say(f"Breaking it for {seconds:.0f} s, seed {asked.seed} ...")
        run = Run(stage, options)
        run.go()
        found = report.figures(run)
        asked.report.mkdir(parents=True, exist_ok=True)
        page = report.write(found, asked.report)
        shutil.copy(folder / "history.jsonl", asked.report / "history.jsonl")
        say(page.read_text())
        bad = report.failures(found)
    finally:
        stage.close()
        if asked.keep or bad:
            say(f"The logs are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


def _set_up_django(stage: stages.Stage) -> None:
    """Let this process use the models on the run's own database, past the proxy, and sign as the sandbox does."""
    os.environ |= {
        **stage.env,
        "DATABASE_URL": stage.database_url,
        "REDIS_URL": stage.redis_url,
        "OVERLORD_DATA": str(stage.folder / "shop"),
        "DJANGO_SETTINGS_MODULE": "overlord.settings",
    }
    import django

    django.setup()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
