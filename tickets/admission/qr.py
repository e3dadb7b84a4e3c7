"""Make QR codes of tickets, also as SVG. The SVG has no styles, because the pages' security policy forbids them."""

from functools import lru_cache

import segno

QUIET = 4  # white modules around the code, which the standard requires
MASK = (
    2  # any mask is good, because codes look random; a search for the best mask would take most of the time
)
REMEMBERED = 2_000  # codes in a process, because an open page asks again every few seconds


@lru_cache(maxsize=REMEMBERED)
def made(code: str) -> segno.QRCode:
    """Return the QR code that contains the code of a ticket."""
    return segno.make_qr(code, mode="alphanumeric", error="m", boost_error=False, mask=MASK)


def svg(code: str, *, title: str) -> str:
    """Return the QR code of a ticket's code as SVG, black on white. It fills the width of its place on the page."""
    return str(
        made(code).svg_inline(
            border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None, title=title
        )
    )
