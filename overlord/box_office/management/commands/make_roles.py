"""The command `make_roles`: make the usual roles of staff (`overlord/box_office/roles.py`)."""

from typing import Any

from django.core.management.base import BaseCommand

from overlord.box_office import roles


class Command(BaseCommand):
    help = (
        "Make the groups Organiser, Box office, Door and Viewer with their permissions. You may run it again."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        for name, count in roles.roles_make().items():
            self.stdout.write(f"{name}: {count} permissions")
