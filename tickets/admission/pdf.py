"""Tickets as a PDF: one page each, black on white, to print or to keep. Plain functions on what a page shows too.

The library takes 45 MB and seconds to load: only a process that makes a PDF loads it, at its first.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from overlord.shop import formats
from tickets.admission import qr

if TYPE_CHECKING:
    from fpdf import FPDF

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
CODE_MM = 80.0
MARGIN_MM = 25.0


def pdf(tickets: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a PDF of tickets that have codes, as `services.tickets_of_order` gives them."""
    from fpdf import FPDF  # see above

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # else it tells of each step
    document = FPDF(format="A4", unit="mm")
    document.set_margin(MARGIN_MM)
    document.set_auto_page_break(auto=False)
    document.set_creator("Ticket Overlord")
    document.add_font("sans", fname=FONT)
    for ticket in tickets:
        document.set_title(ticket["event_name"])
        _page(document, ticket)
    return bytes(document.output())


def _page(document: "FPDF", ticket: Mapping[str, Any]) -> None:
    document.add_page()
    _line(document, ticket["event_name"], size=24)
    _line(document, formats.date_time(ticket["event_date"], ticket["event_time_zone"]), size=13)
    if place := ", ".join(filter(None, (ticket["event_venue"], ticket["event_address"]))):
        _line(document, place, size=13)
    document.ln(8)
    _draw(document, ticket["code"], x=MARGIN_MM, y=document.get_y(), width=CODE_MM)
    document.set_y(document.get_y() + CODE_MM + 8)
    _line(document, ticket["ticket_type_name"], size=18)
    if ticket["holder"]:
        _line(document, ticket["holder"], size=14)
    of = {"n": formats.number(ticket["n"]), "of": formats.number(ticket["of"])}
    _line(document, _("Ticket %(n)s of %(of)s") % of, size=12)
    _line(document, _("Serial %(serial)s") % {"serial": ticket["serial"]}, size=12)
    document.ln(8)
    _line(
        document, _("Show this code at the door. It opens the door once: keep copies to yourself."), size=10
    )


def _line(document: "FPDF", text: str, *, size: int) -> None:
    document.set_font("sans", size=size)
    document.multi_cell(w=0, h=size * 0.5, text=text, align="L", new_x="LMARGIN", new_y="NEXT")


def _draw(document: "FPDF", code: str, *, x: float, y: float, width: float) -> None:
    """Draw a QR code as rectangles, one for each run of dark modules, so that it prints sharp at any size."""
    rows = qr.made(code).matrix
    module = width / (len(rows) + 2 * qr.QUIET)
    document.set_fill_color(0)
    for number, row in enumerate(rows):
        for start, length in _runs(row):
            left, top = x + (qr.QUIET + start) * module, y + (qr.QUIET + number) * module
            document.rect(left, top, length * module, module, style="F")


def _runs(row: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Return where each run of dark modules begins and how long it is."""
    start = None
    for at, dark in enumerate([*row, 0]):
        if dark and start is None:
            start = at
        elif not dark and start is not None:
            yield start, at - start
            start = None
