"""The JavaScript modules of the pages. The import map maps names, such as "shop/page.js", to addresses of files."""

import json
import re
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.templatetags.static import static

_IMPORTS = re.compile(r"""^import\b[^"';]*["']([^"']+)["']""", re.MULTILINE)

MODULES = (
    "admission/camera.js",
    "admission/codes.js",
    "admission/door-desk.js",
    "admission/door-list.js",
    "admission/door-page.js",
    "admission/door-store.js",
    "admission/one-page.js",
    "admission/signals.js",
    "admission/ticket-page.js",
    "checkout/live-me.js",
    "checkout/payment-status.js",
    "checkout/stages.js",
    "checkout/stripe-form.js",
    "line/draw.js",
    "line/line-labels.js",
    "line/live-desk.js",
    "line/live-line.js",
    "realtime/live.js",
    "shop/announce.js",
    "shop/focus.js",
    "shop/formats.js",
    "shop/fresh-page.js",
    "shop/hold-countdown.js",
    "shop/keep-typed.js",
    "shop/live-badge.js",
    "shop/page.js",
    "shop/while-not-live.js",
    "stats/live-monitor.js",
    "stats/minute-chart.js",
    "tickets/live-event.js",
    "tickets/live-events.js",
    "tickets/availability-labels.js",
    "tickets/own-tickets.js",
)


@cache
def import_map() -> str:
    """Return the import map as JSON, with the address of each module's file. A process makes it once."""
    imports = {name: static(name) for name in MODULES}
    return json.dumps({"imports": imports}).replace("<", "\\u003c")


@cache
def loaded_with(name: str) -> list[str]:
    """Return the names of all modules that a module imports, directly or through others."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        for each in _imports(waiting.pop()):
            if each not in found and each != name:
                found.append(each)
                waiting.append(each)
    return found


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the names of the modules that a module imports directly. A process reads its file once."""
    return tuple(_IMPORTS.findall(Path(str(finders.find(name))).read_text(encoding="utf-8")))
