"""The command `restore`: restore a backup, migrate it, begin a new epoch, and list charges without a payment."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg2
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from overlord.embedded import backup
from overlord.embedded.state import Folder, FolderError
from overlord.kernel import postgres_wait


class Command(BaseCommand):
    help = "Restore a file that `backup` wrote, while nothing but `bin/up --only services` runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--replace", action="store_true", help="remove what the database holds now")

    def handle(self, *_args: Any, file: Path, replace: bool, **_options: Any) -> None:
        connections.close_all()
        try:
            # PostgreSQL may need minutes to drop a database, and waits 5 s when something is connected to it.
            with postgres_wait.patience():
                backup.restore(
                    file.resolve(),
                    database=backup.Database.of_settings(settings.DATABASES["default"]),
                    folder=Folder(settings.DATA_DIR.resolve()),
                    pictures=Path(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
                    replace=replace,
                )
        except (backup.BackupError, FolderError) as error:
            raise CommandError(str(error)) from error
        except psycopg2.Error as error:
            raise CommandError(
                f"PostgreSQL does not do this: {str(error).strip()}\nRemove the cause (does bin/up --only services"
                " run?), then restore again with --replace."
            ) from error
        call_command("migrate", interactive=False, verbosity=0)
        call_command("live_epoch", stdout=self.stdout)
        self.stdout.write("Everything is as it was at the backup. Charges that now have no payment:")
        try:
            call_command("reconcile_charges", stdout=self.stdout)
        except CommandError as error:
            self.stdout.write(f"{error} Run manage.py reconcile_charges when it answers.")
