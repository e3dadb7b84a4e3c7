"""Tickets as a PDF: one page each, black on white, to print or to keep. Plain functions on what a page shows too.

The library takes 45 MB and seconds to load: only a process that makes a PDF loads it, at its first.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from overlord.shop import formats, look
from overlord.shop.models import PRODUCT
from tickets.admission import qr

if TYPE_CHECKING:
    from fpdf import FPDF

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
EVERY_VIEWERS_FONT, ITS_LETTERS = "helvetica", "cp1252"
NARROW_SPACE, SPACE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"  # dates have the narrow one
CODE_MM = 80.0
MARGIN_MM = 25.0
ABOVE_MM, BELOW_MM = 95.0, 70.0  # of the page, which has 297: the code is whole, whatever stands above it
SMALLER = 0.9
LINE = 0.5  # millimetres of a line's height, for each point of its letters


def pdf(tickets: Iterable[Mapping[str, Any]]) -> bytes:
    """Return a PDF of tickets that have codes, as `services.tickets_of_order` gives them."""
    from fpdf import FPDF  # see above

    logging.getLogger("fontTools").setLevel(logging.WARNING)  # else it tells of each step
    document = FPDF(format="A4", unit="mm")
    document.set_margin(MARGIN_MM)
    document.set_auto_page_break(auto=False)
    document.set_creator(PRODUCT)
    document.set_author(look.current().shop_name)
    pages = [(ticket, _above_the_code(ticket), _below_the_code(ticket)) for ticket in tickets]
    font = _font(document, [text for _ticket, above, below in pages for text, _size in above + below])
    for ticket, above, below in pages:
        document.set_title(ticket["event_name"])
        document.add_page()
        _write(document, _fitted(document, above, font=font, room=ABOVE_MM), font=font)
        document.ln(8)
        _draw(document, ticket["code"], x=MARGIN_MM, y=document.get_y(), width=CODE_MM)
        document.set_y(document.get_y() + CODE_MM + 8)
        _write(document, _fitted(document, below, font=font, room=BELOW_MM), font=font)
    return bytes(document.output())


Lines = list[tuple[str, float]]  # a text and the size of its letters


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
        (_("Serial %(serial)s") % {"serial": ticket["serial"]}, 12),
        ("\n" + _("Show this code at the door. It opens the door once, so give copies to nobody."), 10),
    ]


def _font(document: "FPDF", texts: Iterable[str]) -> str:
    """Return a font that has all letters of the texts: one that every viewer has, or one that the file carries.

    Carrying one takes nine tenths of the time that a PDF takes.
    """
    try:
        "".join(texts).encode(ITS_LETTERS)
    except UnicodeEncodeError:
        document.add_font("sans", fname=FONT)
        return "sans"
    document.core_fonts_encoding = ITS_LETTERS
    return EVERY_VIEWERS_FONT


def _fitted(document: "FPDF", lines: Lines, *, font: str, room: float) -> Lines:
    """Return texts with letters so small that they take no more than `room` millimetres of the page's height."""
    while _height(document, lines, font=font) > room:
        lines = [(text, size * SMALLER) for text, size in lines]
    return lines


def _height(document: "FPDF", lines: Lines, *, font: str) -> float:
    height = 0.0
    for text, size in lines:
        if text:
            document.set_font(font, size=size)
            wrapped = document.multi_cell(w=0, h=size * LINE, text=text, dry_run=True, output="LINES")
            assert isinstance(wrapped, list)  # noqa: S101  (as `output` asks)
            height += len(wrapped) * size * LINE
    return height


def _write(document: "FPDF", lines: Lines, *, font: str) -> None:
    for text, size in lines:
        if text:
            document.set_font(font, size=size)
            document.multi_cell(w=0, h=size * LINE, text=text, align="L", new_x="LMARGIN", new_y="NEXT")


def _draw(document: "FPDF", code: str, *, x: float, y: float, width: float) -> None:
    """Draw a QR code as rectangles, one for each run of dark modules, so that it prints sharp at any size.

    There are some four hundred. They are written as `rect` writes each, which takes as long as all the rest.
    """
    rows = qr.made(code).matrix
    module = width * document.k / (len(rows) + 2 * qr.QUIET)
    left, top = x * document.k + qr.QUIET * module, (document.h - y) * document.k - qr.QUIET * module
    document.set_fill_color(0)
    rectangles = (
        f"{left + start * module:.2f} {top - number * module:.2f} {length * module:.2f} {-module:.2f} re f"
        for number, row in enumerate(rows)
        for start, length in _runs(row)
    )
    document._out("\n".join(rectangles))


def _runs(row: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Return where each run of dark modules begins and how long it is."""
    start = None
    for at, dark in enumerate([*row, 0]):
        if dark and start is None:
            start = at
        elif not dark and start is not None:
            yield start, at - start
            start = None
