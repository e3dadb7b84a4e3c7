"""Draw tickets as a PDF: one page each, black on white, to print or to keep. Plain functions on a document's texts.

It runs as a program, in a process of its own (`pdf_process`), and imports nothing of Django: its library alone is
large and slow to load.
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

from tickets.admission import qr
from tickets.admission.printed import DRAWN, FAILED, Lines, Printed

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
EVERY_VIEWERS_FONT, ITS_LETTERS = "helvetica", "cp1252"
CODE_MM = 80.0
MARGIN_MM = 25.0
ABOVE_MM, BELOW_MM = 95.0, 70.0  # of the 297 of a page, so that the code fits below any texts
SMALLER = 0.9
SOFT_HYPHEN = "\N{SOFT HYPHEN}"  # where a word may be divided; it is printed nowhere else
LINE = 0.5  # millimetres of a line's height, for each point of its letters


def drawn(printed: Printed) -> bytes:
    """Return the PDF."""
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


def _fitted(document: FPDF, lines: Lines, *, font: str, room: float) -> Lines:
    """Return texts with letters so small that they take no more than `room` millimetres of the page's height."""
    while _height(document, lines, font=font) > room:
        lines = [(text, size * SMALLER) for text, size in lines]
    return lines


def _height(document: FPDF, lines: Lines, *, font: str) -> float:
    return sum(len(_wrapped(document, text, size, font=font)) * size * LINE for text, size in lines if text)


def _write(document: FPDF, lines: Lines, *, font: str) -> None:
    for text, size in lines:
        for line in _wrapped(document, text, size, font=font) if text else ():
            document.cell(w=0, h=size * LINE, text=line, align="L", new_x="LMARGIN", new_y="NEXT")


def _wrapped(document: FPDF, text: str, size: float, *, font: str) -> list[str]:
    """Return the lines of a text, as wide as the page.

    Only those that are too wide or have soft hyphens are given to the library, which looks at each letter.
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

    The library returns the bytes of `ITS_LETTERS` as if they were Latin-1, unless the file carries the font.
    """
    lines = document.multi_cell(w=0, h=size * LINE, text=text, dry_run=True, output="LINES")
    assert isinstance(lines, list)  # noqa: S101  (as `output` asks)
    return lines if document.is_ttf_font else [line.encode("latin-1").decode(ITS_LETTERS) for line in lines]


def _draw(document: FPDF, code: str, *, x: float, y: float, width: float) -> None:
    """Draw a QR code as rectangles, one for each run of dark modules, so that it prints sharp at any size.

    There are some four hundred. They are written at once, in the form that `rect` writes. To call `rect` for each
    takes as long as all the rest.
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


def serve(channel: "Connection[bytes, bytes]") -> None:
    """Answer each content, sent as JSON, with its PDF, until the asking process closes the channel or ends."""
    with suppress(EOFError, ConnectionError):
        while True:
            asked = channel.recv_bytes()
            try:
                answer = DRAWN + drawn(json.loads(asked))
            except Exception:  # noqa: BLE001  (the asking process is told)
                answer = FAILED + traceback.format_exc().encode()
            channel.send_bytes(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the asking process
    serve(Connection(int(sys.argv[1])))
