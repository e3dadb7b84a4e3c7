from argparse import ArgumentParser
from http.client import HTTPException
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.demo import rush, services
from overlord.kernel import clock

MOST = 5000


class Command(BaseCommand):
    help = "Send buyers at the running shop, by HTTP, so that its pages and the monitor come alive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--buyers", type=int, default=100, help=f"how many, {MOST} at most")
        parser.add_argument("--event", type=int, help="the event's id; one of the next, if not said")
        parser.add_argument(
            "--url", default=settings.BASE_URL, help="where the shop is reached, if not at its own address"
        )
        parser.add_argument("--seed", type=int, help="the same number, the same crowd")

    def handle(self, *_args: Any, **options: Any) -> None:
        buyers = options["buyers"]
        if not 0 < buyers <= MOST:
            raise CommandError(f"--buyers is a number from 1 to {MOST}.")
        try:
            counts = rush.rush(
                url=options["url"],
                event=options["event"],
                tokens=services.crowd_make(count=buyers, now=clock.now()),
                seed=options["seed"],
                told=lambda nth, _outcome: self.stdout.write(f"\r{nth} of {buyers}", ending=""),
            )
        except (rush.Refused, OSError, HTTPException, ValueError) as error:
            raise CommandError(f"{options['url']}: {error}. Is bin/up running there? See --url.") from None
        said = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts.most_common())
        self.stdout.write(f"\n{said}")
