"""QR codes of tickets, also as SVG. The SVG has no styles, because pages forbid them (Content-Security-Policy)."""

from functools import lru_cache

import segno

QUIET = 4  # modules of white around it, as the standard asks
MASK = 2  # a code looks random, so all masks suit it alike, and a search for the best would take most of the time
REMEMBERED = 2_000  # in a process: an open page asks again every few seconds


@lru_cache(maxsize=REMEMBERED)
def made(code: str) -> segno.QRCode:
    """Return the QR code of a code of `codes`."""
    return segno.make_qr(code, mode="alphanumeric", error="m", boost_error=False, mask=MASK)


def svg(code: str, *, title: str) -> str:
    """Return a code of `codes` as the SVG of a QR code, black on white, that fills the width it is given."""
    return str(
        made(code).svg_inline(
            border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None, title=title
        )
    )
