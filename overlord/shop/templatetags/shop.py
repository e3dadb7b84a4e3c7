"""The tags and filters of `{% load shop %}`: money, times, numbers, pictures, and the JavaScript modules."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _lazy

from overlord.shop import formats, look, modules, pictures
from overlord.shop import markdown as texts
from overlord.shop.languages import LANGUAGES, has_catalogue
from overlord.shop.models import Look
from overlord.shop.permissions import may_open

register = template.Library()

STATES = {  # of reservations and of tickets
    "held": _lazy("Reserved"),
    "paying": _lazy("Payment in progress"),
    "validated": _lazy("Sold"),
    "expired": _lazy("Reservation expired"),
    "released": _lazy("Released"),
    "valid": _lazy("Valid"),
    "admitted": _lazy("Admitted"),
    "revoked": _lazy("No longer valid"),
}

FORMATS = (
    formats.number,
    formats.percent,
    formats.date_time,
    formats.whole_date,
    formats.time_to_the_second,
    formats.time_of_day,
    formats.day,
    formats.weekday,
    formats.month,
    formats.zone_name,
)
for _format in FORMATS:
    register.filter(_format.__name__, _format)


register.filter(has_catalogue)
register.filter(may_open)
register.filter("markdown", texts.to_html)
register.filter("markdown_line", texts.to_line)


@register.simple_tag
def money(amount: str, currency: str) -> str:
    """Return an amount of money, a decimal string, in the active language."""
    return formats.money(amount, currency)


@register.simple_tag
def price(amount: str, currency: str) -> str:
    """Return the price of a ticket in the active language; "Free" if it costs nothing."""
    return formats.price(amount, currency)


@register.simple_tag
def time_or_date(instant: datetime, zone: str, now: datetime) -> str:
    """Return a time of today to the second, and any other time with its date."""
    return formats.time_or_date(instant, zone, now)


@register.simple_tag
def base_url() -> str:
    """Return the address of the shop, for mails and other texts outside of its pages."""
    return settings.BASE_URL


@register.simple_tag
def time_zone() -> str:
    """Return the installation's time zone, for the formats of the browser."""
    return settings.TIME_ZONE


@register.simple_tag
def languages() -> list[tuple[str, str]]:
    """Return pairs for the languages that a reader can choose: the code, and the name in that language."""
    return list(LANGUAGES.items())


@register.simple_tag
def shop_look() -> Look:
    """Return the look of the shop."""
    return look.current()


@register.filter
def picture(name: str) -> dict[str, str | int] | None:
    """Return the addresses and sizes that a page needs to show a picture; None if the name is empty."""
    return pictures.shown(pictures.address(name))


@register.filter
def state_name(state: str) -> str:
    """Return the name of a reservation's or a ticket's state, in the active language."""
    return str(STATES.get(state, state))


@register.filter
def iso(instant: datetime) -> str:
    """Return a datetime in ISO 8601."""
    return instant.isoformat()


@register.filter
def value_of(mapping: Mapping[str, Any], key: str) -> Any:
    """Return the value of a mapping for a key; "" if there is none."""
    return mapping.get(key, "")


@register.filter(name="json")
def as_json(value: Any) -> str:
    """Return a value as JSON, for an attribute of HTML."""
    return json.dumps(value)


@register.filter
def share(part: int | None, whole: int | None) -> str:
    """Return the percentage that `part` is of `whole`, such as "12.50", for widths of bars; "0" for no whole."""
    return f"{100 * (part or 0) / whole:.2f}" if whole else "0"


@register.simple_tag
def import_map() -> SafeString:
    """Return the import map of the JavaScript modules as JSON."""
    return mark_safe(modules.import_map())  # noqa: S308


@register.simple_tag(takes_context=True)
def module(context: template.Context, name: str) -> SafeString:
    """Return the tags that load a module and all its imports at once.

    Without these tags, a browser would find an import only after it has read the file that imports it.
    """
    named: set[str] = context.get("modules_named") or set()
    context["modules_named"] = named
    preloads = [each for each in modules.loaded_with(name) if each not in named]
    named.update([name, *preloads])
    lines = [format_html('<script type="module" src="{}"></script>', static(name))]
    lines += [format_html('<link rel="modulepreload" href="{}">', static(each)) for each in preloads]
    return mark_safe("\n  ".join(lines))  # noqa: S308
