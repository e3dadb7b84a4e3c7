"""Contrast: its measure, the colours that are refused, and the backgrounds, which are those of the pages."""

import re
from pathlib import Path

import pytest

from overlord.shop import colours
from overlord.shop.colours import DARK, LIGHT, Scheme
from overlord.shop.models import ACCENT, ACCENT_DARK

CSS = (Path(__file__).parents[1] / "static" / "shop" / "shop.css").read_text()


@pytest.mark.parametrize(
    ("one", "other", "contrast"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#123456", "#123456", 1.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
    ],
)
def test_contrast_is_computed_as_wcag_defines_it(one: str, other: str, contrast: float) -> None:
    assert colours.contrast(one, other) == pytest.approx(contrast, abs=0.005)
    assert colours.contrast(other, one) == colours.contrast(one, other)


@pytest.mark.parametrize("name", ["paper", "sheet", "accent", "accent-ink"])
def test_the_colours_are_those_of_the_pages(name: str) -> None:
    [pair] = re.findall(rf"--{name}: light-dark\((#\w{{6}}), (#\w{{6}})\)", CSS)
    known = {
        "paper": (LIGHT.paper, DARK.paper),
        "sheet": (LIGHT.sheet, DARK.sheet),
        "accent": (ACCENT, ACCENT_DARK),
        "accent-ink": (LIGHT.ink, DARK.ink),
    }
    assert pair == known[name]


def test_browsers_without_light_dark_get_the_light_colours() -> None:
    [old] = re.findall(
        r"@supports not \(color: light-dark\(#000, #fff\)\) \{\n  :root \{(.*?)\}", CSS, re.DOTALL
    )
    light = re.findall(r"(--[\w-]+): light-dark\((#\w+), #\w+\);", CSS)
    assert len(light) > 10
    assert re.findall(r"(--[\w-]+): (#\w+);", old) == light


@pytest.mark.parametrize(("accent", "scheme"), [(ACCENT, LIGHT), (ACCENT_DARK, DARK)])
def test_the_colours_of_every_shop_can_be_read(accent: str, scheme: Scheme) -> None:
    assert colours.least_contrast(accent, scheme) >= colours.LEAST_CONTRAST
    assert colours.readable(accent, scheme) == accent


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
@pytest.mark.parametrize(
    "accent", ["#ff6600", "#ffff00", "#ff0000", "#777777", "#fbfaf7", "#131512", "#ffffff"]
)
def test_a_readable_colour_is_suggested(accent: str, scheme: Scheme) -> None:
    found = colours.readable(accent, scheme)
    assert colours.least_contrast(found, scheme) >= colours.LEAST_CONTRAST


@pytest.mark.parametrize("text", ["", "#fff", "0d6b4c", "#0d6b4g", "#0D6B4C", "#0d6b4c;", "red", "#0d6b4c\n"])
def test_a_malformed_colour_is_found(text: str) -> None:
    assert not colours.is_colour(text)
