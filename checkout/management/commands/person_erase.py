"""`manage.py person_erase USER`: erase a person's data."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from checkout import services
from overlord.kernel.errors import NotFound


class Command(BaseCommand):
    help = "Erase a person's data. Reservations and payments stay, without a name. This cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", type=int, help="the number of the user, which the admin shows")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *_args: Any, user: int, yes: bool, **_options: Any) -> None:
        if not yes and not self._confirmed(user):
            raise CommandError("Nothing was erased.")
        try:
            services.person_erase(user_id=user)
        except NotFound as error:
            raise CommandError(f"There is no user {user}.") from error
        except services.Unfinished as error:
            raise CommandError(f"Not yet: {error}. Try again when that has ended.") from error
        self.stdout.write(f"User {user} is erased.")

    def _confirmed(self, user: int) -> bool:
        try:
            return input(f"Erase user {user}? Type yes to continue: ").strip() == "yes"
        except EOFError:
            return False
