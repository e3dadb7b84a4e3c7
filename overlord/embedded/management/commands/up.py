"""The command `up`: read the options, and become the supervisor (`overlord/embedded/supervise.py`)."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from overlord.embedded import supervise
from overlord.embedded.supervisor import Options


def port_number(text: str) -> int:
    """Return the text as a port; raise ArgumentTypeError unless it is a number from 1 to 65535."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65_536:
        raise ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey and all of Ticket Overlord, and keep them running until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=port_number, default=settings.PORT, help="the shop's port, 8080 unless it is taken"
        )
        parser.add_argument("--no-demo", action="store_true", help="load no demo events and users")
        parser.add_argument("--only", choices=["services"], help="start only PostgreSQL and Valkey")

    def handle(self, *_args: Any, **options: Any) -> None:
        chosen = Options(
            port=options["port"],
            demo=not options["no_demo"],
            services_only=options["only"] == "services",
            pictures=str(Path(settings.MEDIA_ROOT).absolute()),
            trusted_proxies=settings.TRUSTED_PROXIES,
        )
        supervise.become(folder=settings.DATA_DIR.resolve(), options=chosen)
