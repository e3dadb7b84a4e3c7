import os
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from overlord.embedded.binaries import MissingBinaryError
from overlord.embedded.state import AlreadyRunningError, Folder, FolderError
from overlord.embedded.stopping import Stopping
from overlord.embedded.supervisor import Options, Supervisor


def port_number(text: str) -> int:
    """Will read a port; raises ArgumentTypeError for a number that is none."""
    port = int(text)
    if not 0 < port < 65_536:
        raise ArgumentTypeError("a port is a number from 1 to 65535")
    return port


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey and all of Ticket Overlord, and keep them running until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--port", type=port_number, default=settings.PORT, help="the shop's port, 8080 unless it is taken"
        )
        parser.add_argument("--no-demo", action="store_true", help="load no demo events and users")
        parser.add_argument("--only", choices=["services"], help="start PostgreSQL and Valkey alone")

    def handle(self, *_args: Any, **options: Any) -> None:
        wishes = Options(
            port=options["port"], demo=not options["no_demo"], services_only=options["only"] == "services"
        )
        os.umask(0o077)  # data, logs and passwords are the user's alone
        stopping = Stopping()
        stopping.listen()
        folder = Folder(settings.DATA_DIR.resolve())
        try:
            folder.make()
            with folder.claim():
                code = Supervisor(folder, wishes, stopping).run()
        except AlreadyRunningError as running:
            # Not an error: what was asked for is there.
            self.stdout.write(f"Ticket Overlord is {running}.")
            return
        except (FolderError, MissingBinaryError) as error:
            raise CommandError(str(error)) from error
        if code:
            raise SystemExit(code)
