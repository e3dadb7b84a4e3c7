"""The command of the service `secrets` in docker-compose.yml, which ends before all other services start."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from overlord.compose import secret_files


class Command(BaseCommand):
    help = (
        "Write the passwords for the containers of PostgreSQL and Valkey. Outside production, generate them."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--postgres", type=Path, required=True, help="PostgreSQL's own folder of secrets")
        parser.add_argument("--valkey", type=Path, required=True, help="Valkey's own folder of secrets")

    def handle(self, *_args: Any, postgres: Path, valkey: Path, **_options: Any) -> None:
        # In production the secrets must be set: without them, the settings do not load.
        production = settings.ENVIRONMENT == "production"
        generated = {} if production else secret_files.secrets_make(settings.DATA_DIR)
        try:
            secret_files.server_files_write(
                postgres=postgres,
                valkey=valkey,
                database_url=settings.DATABASE_URL or generated["DATABASE_URL"],
                redis_url=settings.REDIS_URL or generated["REDIS_URL"],
            )
        except secret_files.PasswordMissing as missing:
            raise CommandError(str(missing)) from missing
        for name in ("postgres_password", "valkey_password", "valkey.conf"):  # the files of earlier versions
            (settings.DATA_DIR / name).unlink(missing_ok=True)
