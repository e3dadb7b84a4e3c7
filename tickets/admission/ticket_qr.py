"""The QR codes of tickets. Their modules (squares) are kept, because open pages ask for the same codes again."""

from functools import lru_cache

from overlord.shop import qr

REMEMBERED = 2_000  # codes in a process


@lru_cache(maxsize=REMEMBERED)
def modules(code: str) -> list[bytes]:
    """Return the rows of the QR code of a ticket's code, as `qr.modules` does."""
    return qr.modules(code)


def svg(code: str, *, title: str) -> str:
    """Return the QR code of a ticket's code as SVG."""
    return qr.svg(modules(code), title=title)
