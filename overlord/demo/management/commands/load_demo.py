"""The command `load_demo`: load the events, users and sales of the demo (`overlord/demo/services.py`)."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.translation import ngettext

from overlord.demo import services
from overlord.kernel import clock


class Command(BaseCommand):
    help = "Load thirty events, some of them sold, and two users to log in as: `staff` and `buyer`."

    def handle(self, *_args: Any, **_options: Any) -> None:
        password = settings.DEMO_PASSWORD or secrets.token_urlsafe(9)
        count = services.demo_load(password=password, now=clock.now())
        on_sale = ngettext("%d event is on sale.", "%d events are on sale.", count) % count
        self.stdout.write(on_sale if count else "The events of the demo were loaded before.")
        if not settings.DEMO_PASSWORD:
            self.stdout.write(f"Log in as `staff` or `buyer` with the password {password}")
