"""Draw a PDF of tickets from its texts: a page for each ticket, black on white.

This module runs as a program in a separate process (`pdf_process`). It does not import Django, so that the process
starts faster: the library for PDFs alone is large and slow to load.
"""

import json
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from fpdf import FPDF

from overlord.shop import qr
from tickets.admission import ticket_qr
from tickets.admission.printed import DRAWN, FAILED, Lines, Printed

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
CORE_FONT, CORE_ENCODING = "helvetica", "cp1252"  # every PDF viewer has this font
CODE_MM = 80.0
MARGIN_MM = 25.0
ABOVE_MM, BELOW_MM = 95.0, 70.0  # the most for the texts above and below the code, of the 297 mm of a page
SMALLER = 0.9  # the factor by which letters shrink until a text fits
SOFT_HYPHEN = "\N{SOFT HYPHEN}"  # where a word may be divided; it is printed only where a word is divided
MM_PER_POINT = 0.5  # the height of a line, for each point of its letters
BASELINE = 0.3  # how far below the middle of a line its letters stand, as a factor of their size


def drawn(printed: Printed) -> bytes:
    """Return the PDF that has this content."""
    document = FPDF(format="A4", unit="mm")
    document.set_margin(MARGIN_MM)
    document.set_auto_page_break(auto=False)
    document.set_creator(printed["creator"])
    document.set_author(printed["author"])
    pages = printed["pages"]
    font = _font(document, [text for page in pages for text, _size in page["above"] + page["below"]])
    for page in pages:
        document.set_title(page["title"])
        document.add_page()
        _write(document, _fitted(document, page["above"], font=font, room=ABOVE_MM), font=font)
        document.ln(8)
        _draw(document, page["code"], x=MARGIN_MM, y=document.get_y(), width=CODE_MM)
        document.set_y(document.get_y() + CODE_MM + 8)
        _write(document, _fitted(document, page["below"], font=font, room=BELOW_MM), font=font)
    return bytes(document.output())


def _font(document: FPDF, texts: Iterable[str]) -> str:
    """Return the name of a font that has all letters of the texts: CORE_FONT, or a font that is put into the file.

    To put a font into the file takes nine tenths of the time of a PDF, so this is done only if it is needed.
    """
    try:
        "".join(texts).encode(CORE_ENCODING)
    except UnicodeEncodeError:
        document.add_font("sans", fname=FONT)
        return "sans"
    document.core_fonts_encoding = CORE_ENCODING
    return CORE_FONT


def _fitted(document: FPDF, lines: Lines, *, font: str, room: float) -> Lines:
    """Return the texts with letters so small that all lines together are at most `room` millimetres high."""
    while _height(document, lines, font=font) > room:
        lines = [(text, size * SMALLER) for text, size in lines]
    return lines


def _height(document: FPDF, lines: Lines, *, font: str) -> float:
    return sum(
        len(_wrapped(document, text, size, font=font)) * size * MM_PER_POINT for text, size in lines if text
    )


def _write(document: FPDF, lines: Lines, *, font: str) -> None:
    for text, size in lines:
        for line in _wrapped(document, text, size, font=font) if text else ():
            _write_line(document, line, height=size * MM_PER_POINT)


def _write_line(document: FPDF, line: str, *, height: float) -> None:
    """Write a line and go below it.

    `cell` takes eight times as long as `text`, because it also orders letters that run from right to left.
    `CORE_ENCODING` has none of these.
    """
    if document.is_ttf_font:
        document.cell(w=0, h=height, text=line, align="L", new_x="LMARGIN", new_y="NEXT")
        return
    baseline = document.get_y() + height / 2 + BASELINE * document.font_size  # where `cell` writes too
    if line:
        document.text(document.l_margin + document.c_margin, baseline, line)
    document.set_xy(document.l_margin, document.get_y() + height)


def _wrapped(document: FPDF, text: str, size: float, *, font: str) -> list[str]:
    """Return the lines of a text, wrapped to the width of the page.

    The library looks at each letter, which is slow. So it gets only lines that are too wide or have soft hyphens.
    """
    document.set_font(font, size=size)
    room = document.epw - 2 * document.c_margin
    lines: list[str] = []
    for line in text.split("\n"):
        if SOFT_HYPHEN not in line and document.get_string_width(line) <= room:
            lines.append(line)
        else:
            lines += _divided(document, line, size)
    return lines


def _divided(document: FPDF, text: str, size: float) -> list[str]:
    """Return the lines of a text as the library divides it.

    With CORE_FONT, the library returns the bytes of CORE_ENCODING as if they were Latin-1.
    """
    lines = document.multi_cell(w=0, h=size * MM_PER_POINT, text=text, dry_run=True, output="LINES")
    assert isinstance(lines, list)  # noqa: S101  (as `output` asks)
    return lines if document.is_ttf_font else [line.encode("latin-1").decode(CORE_ENCODING) for line in lines]


def _draw(document: FPDF, code: str, *, x: float, y: float, width: float) -> None:
    """Draw a QR code as rectangles, one for each run of dark modules, so that it prints sharp at any size.

    There are about four hundred rectangles. They are written at once, in the form that `rect` writes. A call of
    `rect` for each of them would take as long as the rest of the page.
    """
    rows = ticket_qr.modules(code)
    module = width * document.k / (len(rows) + 2 * qr.QUIET)
    left, top = x * document.k + qr.QUIET * module, (document.h - y) * document.k - qr.QUIET * module
    document.set_fill_color(0)
    across = [f"{left + number * module:.2f}" for number in range(len(rows))]
    down = [f"{top - number * module:.2f}" for number in range(len(rows))]
    wide = [f"{number * module:.2f} {-module:.2f}" for number in range(len(rows) + 1)]
    rectangles = (
        f"{across[start]} {down[number]} {wide[length]} re f" for number, start, length in qr.runs(rows)
    )
    document._out("\n".join(rectangles))


def serve(channel: "Connection[bytes, bytes]") -> None:
    """Answer each content, sent as JSON, with its PDF, until the other process closes the channel or ends."""
    with suppress(EOFError, ConnectionError):
        while True:
            asked = channel.recv_bytes()
            try:
                answer = DRAWN + drawn(json.loads(asked))
            except Exception:  # noqa: BLE001  (the other process gets its traceback)
                answer = FAILED + traceback.format_exc().encode()
            channel.send_bytes(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the other process
    serve(Connection(int(sys.argv[1])))
