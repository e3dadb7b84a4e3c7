import time
from argparse import ArgumentParser
from http.client import HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.demo import rush, services
from overlord.embedded.state import Folder
from overlord.kernel import clock

MOST = 5000


class Command(BaseCommand):
    help = (
        "Send buyers to the running shop, by HTTP, so that its pages and the monitor come alive."
        " A hundred take about half a minute."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--buyers", type=int, default=100, help=f"how many, at most {MOST}")
        parser.add_argument("--event", type=int, help="the event's id; if missing, one of the next events")
        parser.add_argument("--url", help="the shop's address; if missing, that of bin/up in this checkout")
        parser.add_argument("--seed", type=int, help="the same number makes the same decisions")

    def handle(self, *_args: Any, **options: Any) -> None:
        buyers = options["buyers"]
        if not 0 < buyers <= MOST:
            raise CommandError(f"--buyers is a number from 1 to {MOST}.")
        url = options["url"] or running_shop()
        self.stdout.write(f"Sending {buyers} buyers to {url}, {rush.AT_ONCE} at a time.")
        began = time.monotonic()

        def report(done: int) -> None:
            if self.stdout.isatty():
                left = (time.monotonic() - began) / done * (buyers - done)
                self.stdout.write(f"\r{done} of {buyers}, about {left:.0f} s left  ", ending="")

        try:
            counts = rush.rush(
                url=url,
                event=options["event"],
                tokens=services.crowd_make(count=buyers, now=clock.now()),
                seed=options["seed"],
                report=report,
            )
        except rush.Refused as refused:
            raise CommandError(f"The shop at {url} refused: {refused}.") from None
        except (OSError, HTTPException, ValueError) as error:
            raise CommandError(f"There is no shop at {url}: {error}.") from None
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        start = "\r" if self.stdout.isatty() else ""
        self.stdout.write(f"{start}Done in {time.monotonic() - began:.0f} s: {outcomes}.")


def running_shop() -> str:
    """Return the address of the shop that runs on the data of this checkout, and never another one.

    Raises CommandError.
    """
    folder = Folder(settings.DATA_DIR.resolve())
    running = folder.running()
    if running is None:
        raise CommandError(
            f"No shop runs with the data in {folder.path}. Start one with bin/up, or name another with --url."
        )
    if not (running.serving or "").startswith("http"):
        raise CommandError(f"The shop is not ready: {running}. Wait until bin/up says that it is.")
    return str(running.serving)
