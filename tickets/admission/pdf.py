"""Make a PDF of tickets from the values that pages show: a page for each ticket, black on white.

A separate process draws it (`pdf_process`), so that only that process has the library for PDFs in its memory.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from overlord.shop import formats, look
from overlord.shop.models import PRODUCT
from tickets.admission import pdf_process
from tickets.admission.printed import Lines, Page, Printed

# Formatted dates contain the narrow space, which the usual font of PDFs does not have.
NARROW_SPACE, SPACE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"


def pdf(tickets: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a PDF of tickets, all with codes, as `services.tickets_of_order` returns them; raise NotDrawnError."""
    return pdf_process.draw(printed(tickets))


def printed(tickets: Iterable[Mapping[str, Any]]) -> Printed:
    """Return the content of the PDF of these tickets, in the reader's language."""
    pages: list[Page] = [
        {
            "title": ticket["event_name"],
            "code": ticket["code"],
            "above": _above_the_code(ticket),
            "below": _below_the_code(ticket),
        }
        for ticket in tickets
    ]
    return {"creator": PRODUCT, "author": look.current().shop_name, "pages": pages}


def _above_the_code(ticket: Mapping[str, Any]) -> Lines:
    place = ", ".join(filter(None, (ticket["event_venue"], ticket["event_address"])))
    date = formats.date_time(ticket["event_date"], ticket["event_time_zone"]).replace(NARROW_SPACE, SPACE)
    return [(look.current().shop_name, 11), (ticket["event_name"], 24), (date, 13), (place, 13)]


def _below_the_code(ticket: Mapping[str, Any]) -> Lines:
    of = {"n": formats.number(ticket["n"]), "of": formats.number(ticket["of"])}
    return [
        (ticket["ticket_type_name"], 18),
        (ticket["holder"], 14),
        (_("Ticket %(n)s of %(of)s") % of, 12),
        (_("Ticket number %(serial)s") % {"serial": ticket["serial"]}, 12),
        (
            "\n"
            + _("Show this code at the door. It is valid only once, so do not give copies to other people."),
            10,
        ),
    ]
