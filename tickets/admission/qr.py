"""QR codes of tickets as SVG, without a style within it, so that every page's policy lets it be seen."""

import segno

QUIET = 4  # modules of white around it, as the standard asks


def svg(code: str, *, title: str) -> str:
    """Return a code of `codes` as the SVG of a QR code, black on white, that fills the width it is given."""
    made = segno.make_qr(code, mode="alphanumeric", error="m", boost_error=False)
    return str(
        made.svg_inline(
            border=QUIET, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None, title=title
        )
    )
