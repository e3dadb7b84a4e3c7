"""Decide whether people can read text in a colour, by its contrast as WCAG 2.2 defines it.

Plain Python; a colour is a text such as "#0d6b4c". The backgrounds are the same as in `static/shop/shop.css`; a
test compares them.
"""

import re
from dataclasses import dataclass

COLOUR = r"#[0-9a-f]{6}"
LEAST_CONTRAST = 4.5  # by WCAG 2.2, 1.4.3, for text
SOFT = 0.12  # the share of the accent in the background of a notice
STEPS = 50  # the number of colours that `readable` tries, on the way to black or white

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The colours of light or of dark pages that go with the accent: two backgrounds, and text on the accent."""

    paper: str
    sheet: str
    ink: str  # the text on a button in the accent colour
    towards: str  # black or white: an accent that is nearer to this colour has more contrast


LIGHT = Scheme(paper="#fbfaf7", sheet="#ffffff", ink="#ffffff", towards="#000000")
DARK = Scheme(paper="#131512", sheet="#1b1e1a", ink="#08231a", towards="#ffffff")


def is_colour(text: str) -> bool:
    """Return whether a text is a colour in the form that browsers send."""
    return re.fullmatch(COLOUR, text) is not None


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours: 1 for the same, 21 for black on white."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def least_contrast(accent: str, scheme: Scheme) -> float:
    """Return the smallest of the accent's contrasts with the backgrounds and with the text on the accent."""
    grounds = (scheme.paper, scheme.sheet, soft(accent, scheme), scheme.ink)
    return min(contrast(accent, ground) for ground in grounds)


def soft(accent: str, scheme: Scheme) -> str:
    """Return the background of a notice: the background of a sheet, with a little of the accent."""
    return mixed(scheme.sheet, accent, SOFT)


def readable(accent: str, scheme: Scheme) -> str:
    """Return the colour that has enough contrast and is nearest to the accent, on the way to black or white."""
    found = accent
    for step in range(1, STEPS + 1):
        if least_contrast(found, scheme) >= LEAST_CONTRAST:
            break
        found = mixed(accent, scheme.towards, step / STEPS)
    return found


def mixed(one: str, other: str, share: float) -> str:
    """Return the colour `one`, mixed with this share of `other`: 0.0 gives `one`, 1.0 gives `other`."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> Channels:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _luminance(colour: str) -> float:
    shares = [each / 255 for each in _channels(colour)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
