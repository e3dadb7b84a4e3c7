"""`manage.py load_events FILE`: put the events of a file on sale."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import ngettext

from overlord.kernel import clock
from tickets import event_files, services


class Command(BaseCommand):
    help = (
        "Put all events of a CSV or JSON file on sale; if the file has mistakes, list them and load nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="described in docs/events-file.md")

    def handle(self, *_args: Any, file: Path, **_options: Any) -> None:
        now = clock.now()
        try:
            events = event_files.read(file.read_bytes())
            count = services.events_load(events=events, now=now)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        except event_files.FileErrors as errors:
            raise CommandError(f"Nothing was loaded from {file}.\n{errors}") from None
        self.stdout.write(ngettext("%d event is on sale.", "%d events are on sale.", count) % count)
        begun = [event for event in events if event.date <= now]
        if begun:
            self.stderr.write("Check these dates, because the events have begun already:")
        for event in begun:
            self.stderr.write(f"line {event.line}: {event.name} on {event.date.isoformat()}")
