"""Make QR codes, also as SVG. The SVG has no styles, because the pages' security policy forbids them."""

import re
from collections.abc import Iterator
from html import escape

import zxingcpp

QUIET = 4  # white modules around the code, which the standard requires

_DARK = re.compile(rb"\0+")


def modules(text: str) -> list[bytes]:
    """Return the rows of the QR code of a text: a byte for each module, 0 for a dark one."""
    image = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M").to_image(
        add_quiet_zones=False
    )
    side = image.shape[0]
    flat = memoryview(image).tobytes()  # type: ignore[arg-type]  # its stubs do not name the buffer
    return [flat[at : at + side] for at in range(0, len(flat), side)]


def runs(rows: list[bytes]) -> Iterator[tuple[int, int, int]]:
    """Yield each run of dark modules: the number of its row, where it begins, and how long it is."""
    for number, row in enumerate(rows):
        for run in _DARK.finditer(row):
            yield number, run.start(), run.end() - run.start()


def svg(rows: list[bytes], *, title: str) -> str:
    """Return the QR code of these modules as SVG, black on white. It fills the width of its place on the page."""
    side = len(rows) + 2 * QUIET
    dark = "".join(f"M{QUIET + start} {QUIET + number}.5h{length}" for number, start, length in runs(rows))
    return (
        f'<svg viewBox="0 0 {side} {side}" class="qr" role="img"><title>{escape(title)}</title>'
        f'<path fill="#fff" d="M0 0h{side}v{side}H0z"/><path stroke="#000" d="{dark}"/></svg>'
    )
