"""`{% load shop %}`: how pages write money and times, and what their modules are called."""

import json
from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.safestring import SafeString, mark_safe

from overlord.shop import formats
from overlord.shop.modules import MODULES

register = template.Library()

for _name in ("number", "percent", "moment", "clock", "time_of_day", "day", "weekday", "month"):
    register.filter(_name, getattr(formats, _name))


@register.simple_tag
def money(amount: str, currency: str) -> str:
    """Will write a decimal string of a currency."""
    return formats.money(amount, currency)


@register.filter
def iso(instant: datetime) -> str:
    """Will write an instant for a machine."""
    return instant.isoformat()


@register.filter
def share(part: int | None, whole: int | None) -> str:
    """Will give how much of `whole` a part is, in hundredths: for widths in pictures."""
    return f"{100 * (part or 0) / whole:.2f}" if whole else "0"


@register.simple_tag
def import_map() -> SafeString:
    """Will give the JSON by which modules find one another, whatever their files are called."""
    imports = {name: static(name) for name in MODULES}
    return mark_safe(json.dumps({"imports": imports}).replace("<", "\\u003c"))  # noqa: S308
