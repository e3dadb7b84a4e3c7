"""The command `rush`: send buyers to a running shop, directly (`rush.py`) or into a line (`draw.py`)."""

import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.demo import draw, rush, services
from overlord.embedded.state import Folder
from overlord.kernel import clock

MOST = 5000
# In seconds. It is less than LOBBY_MINUTES (30 by default), so that the lobby of a new event is open at once.
LONGEST_LOBBY = 1500


class Command(BaseCommand):
    help = (
        "Send buyers to the running shop by HTTP, to see its pages and the monitor change live."
        " A hundred buyers take about half a minute."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--buyers", type=int, default=100, help=f"how many, at most {MOST}")
        parser.add_argument(
            "--event",
            type=int,
            help="the event's id; if missing, one of the next events, or with --draw a new one",
        )
        parser.add_argument("--url", help="the shop's address; if missing, that of bin/up in this checkout")
        parser.add_argument(
            "--draw",
            action="store_true",
            help="let them enter a lobby, take part in the draw and get their tickets",
        )
        parser.add_argument(
            "--opens-in",
            type=int,
            default=30,
            help="with --draw: in how many seconds the sale of the new event opens",
        )
        parser.add_argument("--seed", type=int, help="the same number gives the same decisions")

    def handle(self, *_args: Any, **options: Any) -> None:
        buyers = options["buyers"]
        if not 0 < buyers <= MOST:
            raise CommandError(f"--buyers must be a number from 1 to {MOST}.")
        url = options["url"] or running_shop()
        if options["draw"]:
            self._draw(url, options)
            return
        self.stdout.write(f"Sending {buyers} buyers to {url}, {rush.AT_ONCE} at a time.")
        began = time.monotonic()

        def report(done: int) -> None:
            if self.stdout.isatty():
                left = (time.monotonic() - began) / done * (buyers - done)
                self.stdout.write(f"\r{done} of {buyers}, about {left:.0f} s left  ", ending="")

        with shop_at(url):
            counts = rush.rush(
                url=url,
                event=options["event"],
                tokens=services.crowd_make(count=buyers, now=clock.now()),
                seed=options["seed"],
                report=report,
            )
        outcomes = outcomes_text(counts)
        start = "\r" if self.stdout.isatty() else ""
        self.stdout.write(f"{start}Done in {time.monotonic() - began:.0f} s: {outcomes}.")

    def _draw(self, url: str, options: dict[str, Any]) -> None:
        """Let the buyers enter the line of an event, or of a new event if none is named."""
        buyers, opens_in, now = options["buyers"], options["opens_in"], clock.now()
        if not 10 <= opens_in <= LONGEST_LOBBY:
            raise CommandError(f"--opens-in must be a number from 10 to {LONGEST_LOBBY}.")
        event = options["event"] or services.drawn_event_make(
            people=buyers, opens_in=timedelta(seconds=opens_in), now=now
        )
        self.stdout.write(f"Sending {buyers} buyers into the line of {url}/events/{event}/line/")
        with shop_at(url):
            counts = draw.rush(
                url=url,
                event=event,
                tokens=services.crowd_make(count=buyers, now=now),
                seed=options["seed"],
                report=self.stdout.write,
            )
        self.stdout.write(f"Done: {outcomes_text(counts)}.")


def outcomes_text(counts: Counter[str]) -> str:
    """Return how many buyers had each outcome, as a part of a sentence."""
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())


@contextmanager
def shop_at(url: str) -> Iterator[None]:
    """Raise CommandError if the shop refuses a request of the block, or cannot be reached."""
    try:
        yield
    except rush.Refused as refused:
        raise CommandError(f"The shop at {url} refused: {refused}.") from None
    except (OSError, HTTPException, ValueError) as error:
        raise CommandError(f"There is no shop at {url}: {error}.") from None


def running_shop() -> str:
    """Return the address of the running shop that uses our data folder; raise CommandError if none is ready."""
    folder = Folder(settings.DATA_DIR.resolve())
    running = folder.running()
    if running is None:
        raise CommandError(
            f"No shop runs with the data in {folder.path}. Start one with bin/up, or name another with --url."
        )
    if not (running.serving or "").startswith("http"):
        raise CommandError(f"The shop is not ready: {running}. Wait until bin/up says that it is.")
    return str(running.serving)
