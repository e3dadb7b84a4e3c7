"""Run by docker-compose.yml before everything else."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.compose import secret_files


class Command(BaseCommand):
    help = "Tell the containers of PostgreSQL and Valkey their passwords, drawn before outside production."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        # Production has its secrets from its operator: without them the settings refuse to load.
        drawn = {} if settings.ENVIRONMENT == "production" else secret_files.drawn(settings.DATA_DIR)
        try:
            secret_files.tell_servers(
                settings.DATA_DIR,
                database_url=settings.DATABASE_URL or drawn["DATABASE_URL"],
                redis_url=settings.REDIS_URL or drawn["REDIS_URL"],
            )
        except secret_files.PasswordMissing as missing:
            raise CommandError(str(missing)) from missing
