"""The imprint and the terms, which staff write, and the stylesheets with the shop's colours."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control

from overlord.kernel.errors import NotFound
from overlord.kernel.methods import allow
from overlord.shop import colours, look
from overlord.shop.colours import DARK, LIGHT
from overlord.shop.shared_answers import shared

DAY = 86_400  # seconds
CSS = "text/css; charset=utf-8"


@allow("GET")
@shared(seconds=1)
def imprint(request: HttpRequest) -> HttpResponse:
    """Show who runs the shop."""
    return _text_page(request, _("Imprint"), look.current().imprint)


@allow("GET")
@shared(seconds=1)
def terms(request: HttpRequest) -> HttpResponse:
    """Show the terms that buyers accept."""
    return _text_page(request, _("Terms and conditions"), look.current().terms)


def _text_page(request: HttpRequest, title: str, text: str) -> HttpResponse:
    if not text:
        raise NotFound()
    return render(request, "shop/text.html", {"title": title, "text": text})


@allow("GET")
@shared(seconds=3600, cache_control=None)
@cache_control(public=True, max_age=DAY)
def stylesheet(_request: HttpRequest, named: str) -> HttpResponse:
    """Answer with a stylesheet; `named` is the part of its address with the two accent colours (`Look.stylesheet`).

    Raise NotFound if `named` is not two colours, or if text in one of them is hard to read.
    """
    accent, dash, dark = named.partition("-")
    accent, dark = f"#{accent}", f"#{dark}"
    if not (dash and colours.is_colour(accent) and colours.is_colour(dark)):
        raise NotFound()
    if (
        min(colours.least_contrast(accent, LIGHT), colours.least_contrast(dark, DARK))
        < colours.LEAST_CONTRAST
    ):
        raise NotFound()
    return HttpResponse(_rule(":root", accent, dark), content_type=CSS)


@allow("GET")
@shared(seconds=1, cache_control=None)
@cache_control(public=True, max_age=60)
def widget_stylesheet(_request: HttpRequest) -> HttpResponse:
    """Answer with the stylesheet of the shop's current colours, for widgets on pages of other sites."""
    shown = look.current()
    return HttpResponse(_rule(".ticket-widget", shown.accent, shown.accent_dark), content_type=CSS)


def _rule(selector: str, accent: str, dark: str) -> str:
    """Return the colours as CSS. In browsers without `light-dark`, pages are light (`shop.css`)."""
    soft, soft_dark = colours.soft(accent, LIGHT), colours.soft(dark, DARK)
    light = f"--accent:{accent};--accent-ink:{LIGHT.ink};--accent-soft:{soft}"
    return (
        f"{selector}{{--accent:light-dark({accent},{dark});"
        f"--accent-ink:light-dark({LIGHT.ink},{DARK.ink});"
        f"--accent-soft:light-dark({soft},{soft_dark})}}\n"
        f"@supports not (color:light-dark(#000,#fff)){{{selector}{{{light}}}}}\n"
    )
