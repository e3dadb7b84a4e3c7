"""The command `second_factor_reset`, for a lost device when nobody can reset the second factor on the page."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from overlord.accounts import second_factor_services
from overlord.accounts.models import User
from overlord.kernel.errors import NotFound


class Command(BaseCommand):
    help = "Reset the second factor of somebody who lost the device, and log them out everywhere."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", help="the username or the e-mail address")

    def handle(self, *_args: Any, user: str, **_options: Any) -> None:
        try:
            found = User.objects.get_by_natural_key(user)
            second_factor_services.factor_reset_by_command(user_id=found.pk)
        except (User.DoesNotExist, NotFound) as error:
            raise CommandError(f"There is no user {user}.") from error
        self.stdout.write(f"The second factor of {found.username} is reset.")
