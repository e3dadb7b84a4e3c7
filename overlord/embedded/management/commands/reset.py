"""The command `reset`: remove the data of `bin/up`, unless it runs."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.embedded.state import AlreadyRunningError, Folder, FolderError


class Command(BaseCommand):
    help = (
        "Remove the data of PostgreSQL and Valkey, the pictures in the data folder, the logs and the passwords."
        " The next bin/up starts empty."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_args: Any, **options: Any) -> None:
        folder = Folder(settings.DATA_DIR.resolve())
        if not folder.path.exists():
            self.stdout.write("There is nothing to remove.")
            return
        try:
            folder.check()
            with folder.lock():
                if not options["yes"] and not self._confirmed(folder):
                    raise CommandError("Nothing was removed.")
                folder.remove()
                self.stdout.write("All data was removed. The next bin/up starts empty.")
        except AlreadyRunningError as running:
            raise CommandError(
                f"Ticket Overlord is {running}. Stop it with Ctrl-C in its terminal, or with: kill {running.pid}"
            ) from running
        except FolderError as error:
            raise CommandError(str(error)) from error

    def _confirmed(self, folder: Folder) -> bool:
        self.stdout.write(f"This removes all events, sales and accounts in {folder.path}.")
        try:
            return input("Type yes to continue: ").strip() == "yes"
        except EOFError:
            return False
