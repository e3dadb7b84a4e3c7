"""`manage.py person_export USER`: print all data that is kept about a person, as JSON."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from checkout import services
from overlord.kernel import clock
from overlord.kernel.errors import NotFound


class Command(BaseCommand):
    help = "Print all data that is kept about one person, as JSON, to be given to that person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", type=int, help="the number of the user, which the admin shows")

    def handle(self, *_args: Any, user: int, **_options: Any) -> None:
        try:
            found = services.person_export(user_id=user, now=clock.now())
        except NotFound as error:
            raise CommandError(f"There is no user {user}.") from error
        self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
