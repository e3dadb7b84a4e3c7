"""The files of an order's tickets: a PDF and a calendar file.

Web processes offer them on the page of the order, and the upkeep worker attaches them to mails.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tickets.admission import services
from tickets.admission.calendar_file import calendar_file
from tickets.admission.pdf import pdf
from tickets.admission.rules import TicketState
from tickets.admission.selectors import Reach


@dataclass(frozen=True, kw_only=True)
class Document:
    """A file: its name, its content, and its media type."""

    name: str
    content: bytes
    kind: str


def order_documents(reach: Reach, *, now: datetime) -> list[Document]:
    """Return the files of the tickets within reach, for a mail. The list is empty if no ticket has a code.

    Raise NotDrawnError.
    """
    return documents_of(order_shown(reach, now=now), order_id=reach.order_id, now=now)


def order_shown(reach: Reach, *, now: datetime) -> list[dict[str, Any]]:
    """Return the tickets within reach, for `documents_of`."""
    return services.tickets_of_order(reach=reach, now=now)


def documents_of(shown: Sequence[Mapping[str, Any]], *, order_id: int, now: datetime) -> list[Document]:
    """Return the same files as `order_documents`, for tickets that `order_shown` returned. Raise NotDrawnError."""
    printed = tickets_pdf(shown, order_id=order_id)
    return [printed, event_calendar(shown, order_id=order_id, now=now)] if printed else []


def order_calendar(reach: Reach, *, now: datetime) -> Document | None:
    """Return the event of the tickets within reach as a calendar file, or None if there are no tickets."""
    shown = order_shown(reach, now=now)
    return event_calendar(shown, order_id=reach.order_id, now=now) if shown else None


def tickets_pdf(shown: Sequence[Mapping[str, Any]], *, order_id: int) -> Document | None:
    """Return a PDF with a page for each ticket of `shown` that has a code; None if none has. Raise NotDrawnError.

    A revoked ticket has no code there, and a ticket that was handed over has one only for its holder.
    """
    valid = [ticket for ticket in shown if ticket["state"] != TicketState.REVOKED and ticket["code"]]
    if not valid:
        return None
    return Document(name=f"tickets-{order_id}.pdf", content=pdf(valid), kind="application/pdf")


def event_calendar(shown: Sequence[Mapping[str, Any]], *, order_id: int, now: datetime) -> Document:
    """Return the event of the tickets as a calendar file."""
    content = calendar_file(shown[0], order_id=order_id, now=now)
    return Document(name=f"event-{shown[0]['event_id']}.ics", content=content, kind="text/calendar")
