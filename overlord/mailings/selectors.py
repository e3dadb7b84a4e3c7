"""The reads of messages to buyers: recipients, progress, failures, unsubscriptions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q

from overlord.kernel import db
from overlord.mailings import sql
from overlord.mailings.models import Mailing, Recipient, Unsubscription
from overlord.mailings.rules import STATES, Audience, Kind


@dataclass(frozen=True, kw_only=True)
class To:
    """The choice of a message's recipients: the buyers of an event whose tickets have a type and a state.

    `audience` chooses the states. `ticket_type` is an id, or None for all types. `with_holders` says whether the
    message also goes to people to whom such tickets were handed over.
    """

    event_id: int
    kind: Kind
    audience: Audience
    ticket_type: int | None
    with_holders: bool

    def params(self) -> dict[str, Any]:
        """Return the parameters of the statements in `sql`."""
        return {
            "event": self.event_id,
            "states": STATES[self.audience],
            "ticket_type": self.ticket_type,
            "with_holders": self.with_holders,
            "is_news": self.kind == Kind.NEWS,
        }


def recipients_count(*, to: To) -> int:
    """Return how many people would get a message with this choice of recipients."""
    return int(db.rows(sql.COUNT, to.params())[0]["count"])


def mailings(*, event_id: int, most: int) -> list[Mailing]:
    """Return the messages of an event, the latest first, at most `most`. Trials to the author are left out."""
    found = Mailing.objects.filter(event_id=event_id, is_trial=False).select_related("author", "ticket_type")
    return list(found.order_by("-pk")[:most])


def mailing(*, event_id: int, mailing_id: int) -> Mailing | None:
    """Return one message of an event, not a trial; None if there is none."""
    found = Mailing.objects.filter(pk=mailing_id, event_id=event_id, is_trial=False)
    return found.select_related("event", "author", "ticket_type").first()


def progress(*, mailing_id: int) -> Mapping[str, int]:
    """Return how many mails of a message were `sent`, are `waiting`, and have `failed`."""
    waiting = Q(next_look_at__isnull=False)
    return Recipient.objects.filter(mailing_id=mailing_id).aggregate(
        sent=Count("pk", filter=Q(sent_at__isnull=False)),
        waiting=Count("pk", filter=waiting),
        failed=Count("pk", filter=Q(failed_at__isnull=False)),
    )


def failures(*, mailing_id: int, most: int) -> list[Recipient]:
    """Return the failed mails of a message, in the order of their ids, at most `most`."""
    failed = Recipient.objects.filter(mailing_id=mailing_id, failed_at__isnull=False)
    return list(failed.order_by("pk")[:most])


def address_hash(address: str) -> str:
    """Return the hash of an e-mail address, for tables that must not have the address. Case does not matter."""
    return str(db.rows(sql.ADDRESS_HASH, [address])[0]["hash"])


def is_unsubscribed(*, address_hash: str) -> bool:
    """Return whether the person with the address of this hash wants no news."""
    return Unsubscription.objects.filter(pk=address_hash).exists()
