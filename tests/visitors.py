"""Visitors with a browser on the running system, with the rows that they need."""

import importlib.util
import itertools
import json
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone
from selenium.common.exceptions import JavascriptException

from overlord.accounts.models import User
from tests.browser import Browser
from tests.system import System, eventually
from tickets.models import Event, Inventory, TicketType

PASSWORD = "correct horse"
_numbers = itertools.count(1)
# axe-core details only violations, and fetches no style sheet, since no rule that runs needs its text. It does not
# find an element that is described or named by an id that no element has; `missing` has these ids.
LOOK = """
  const done = arguments[0];
  const missing = () => ["aria-describedby", "aria-labelledby"].flatMap((name) =>
    [...document.querySelectorAll(`[${name}]`)].flatMap((element) => element.getAttribute(name).split(" "))
  ).filter((id) => id && !document.getElementById(id));
  axe.run({ resultTypes: ["violations"], preload: false }).then(({ violations }) => done(JSON.stringify([missing(),
    violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map((n) => n.html.slice(0, 160)) }))])));
"""


def fresh(person: Browser, system: System) -> Browser:
    """Let a new visitor open the system, without cookies."""
    person.site = system.url
    person.go("/livez/")
    person.driver.delete_all_cookies()
    person.complaints()
    return person


def type_on_sale(*, capacity: int = 50, price_minor: int = 1500) -> TicketType:
    """Make an event with one ticket type that is on sale.

    It is earlier than those of earlier tests, so that each list of the next events shows it, and begins at a whole
    second, as events of organisers do.
    """
    date = timezone.now().replace(microsecond=0) + timedelta(days=9, minutes=-10 * next(_numbers))
    event = Event.objects.create(name=f"Gala {secrets.token_hex(3)}", date=date)
    made = TicketType.objects.create(event=event, name="Stalls", price_minor=price_minor, max_per_user=8)
    Inventory.objects.create(ticket_type=made, capacity=capacity, closes_at=event.date)
    return made


def user_make(**fields: Any) -> User:
    """Make an account whose password is PASSWORD."""
    name = f"person-{secrets.token_hex(4)}"
    return User.objects.create_user(username=name, email=f"{name}@example.org", password=PASSWORD, **fields)


def logged_in(person: Browser, user: User) -> Browser:
    """Give a visitor the session of an account. `Browser.log_in` uses the page instead."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    person.driver.add_cookie({"name": name, "value": client.cookies[name].value, "httpOnly": True})
    return person


def axe(person: Browser) -> None:
    """Check that axe-core finds no serious or critical problem on the open page, and no description is missing."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    script = (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text()

    def look() -> Any:
        person.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": script})
        with suppress(JavascriptException):  # a live page may reload just now
            return person.driver.execute_async_script(LOOK)
        return None

    found = eventually(look)
    missing, violations = json.loads(found)
    bad = [each for each in violations if each["impact"] in ("serious", "critical")]
    assert (missing, bad) == ([], []), (person.path, missing, bad)
