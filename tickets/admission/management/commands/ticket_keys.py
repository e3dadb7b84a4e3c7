"""`manage.py ticket_keys EVENT`: sign the codes of an event's tickets by a new key from now on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from overlord.kernel import clock
from overlord.kernel.errors import NotFound
from tickets.admission import services


class Command(BaseCommand):
    help = "Sign the codes of an event's tickets by a new key from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("event", type=int, help="the event's id")
        parser.add_argument(
            "--retire",
            action="store_true",
            help="refuse codes of the earlier keys at the door, because others may know these keys",
        )

    def handle(self, *, event: int, retire: bool, **_: Any) -> None:
        try:
            key = services.key_rotate(event_id=event, retire=retire, now=clock.now())
        except NotFound:
            raise CommandError(f"There is no event {event}.") from None
        earlier = "Codes of earlier keys no longer open anything." if retire else "Earlier codes stay valid."
        self.stdout.write(f"Event {event} has the new key {key.pk}. {earlier}")
