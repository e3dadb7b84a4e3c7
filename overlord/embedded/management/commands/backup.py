"""The command `backup`: back up the shop of `bin/up` (`overlord/embedded/backup.py`)."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.embedded import backup
from overlord.embedded.state import Folder, FolderError


class Command(BaseCommand):
    help = (
        "Back up the database, the secrets and the pictures of bin/up into one file that only you can read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a new file, outside the checkout")

    def handle(self, *_args: Any, file: Path, **_options: Any) -> None:
        file = file.resolve()
        if file.is_relative_to(settings.BASE_DIR):
            raise CommandError(f"{file} is in the checkout, where an image or a commit could include it.")
        try:
            vanished = backup.backup(
                file,
                database=backup.Database.of_settings(settings.DATABASES["default"]),
                folder=Folder(settings.DATA_DIR.resolve()),
                secret_key=settings.SECRET_KEY,
                pictures=Path(settings.MEDIA_ROOT) if settings.MEDIA_ROOT else None,
            )
        except (backup.BackupError, FolderError, OSError) as error:
            raise CommandError(str(error)) from error
        for name in vanished:
            self.stdout.write(f"The picture {name} was deleted meanwhile and is not in the backup.")
        self.stdout.write(f"Everything else is in {file}." if vanished else f"Everything is in {file}.")
