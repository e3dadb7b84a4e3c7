"""Numbers that a script or a template repeats are those of Python."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from django.template.utils import get_app_template_dirs

from overlord.accounts import passwords
from overlord.accounts.api.serializers import CodeInput
from overlord.box_office import order_pages
from overlord.kernel import texts
from overlord.shop import searches
from realtime import rate_limits
from realtime.gateway.consumer import SUBPROTOCOL
from realtime.gateway.daphne_socket import CloseCode
from realtime.gateway.heartbeat import HEARTBEAT_SECONDS
from tests import scripts
from tickets import availability_labels, projections, rules, voucher_rules
from tickets.admission import codes
from tickets.admission import rules as admission
from tickets.line import rules as line

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS: dict[tuple[str, str], Any] = {
    ("admission/codes.js", "ALPHABET"): codes.ALPHABET,
    ("admission/codes.js", "BYTES"): codes.LAYOUT.size + codes.SIGNATURE,
    ("admission/codes.js", "LENGTH"): codes.LENGTH,
    ("admission/codes.js", "SIGNED"): codes.LAYOUT.size,
    ("admission/codes.js", "VERSION"): codes.VERSION,
    ("admission/door-page.js", "NEWEST"): admission.LISTED,
    ("realtime/live.js", "NOT_ALLOWED"): CloseCode.NOT_ALLOWED,
    ("realtime/live.js", "NOT_LOGGED_IN"): CloseCode.NOT_LOGGED_IN,
    ("realtime/live.js", "NO_SUCH_STREAM"): CloseCode.NO_SUCH_STREAM,
    ("realtime/live.js", "PROTOCOL"): SUBPROTOCOL,
    ("realtime/live.js", "RESYNC_EVERY"): rate_limits.RESYNC_SECONDS * 1000,
    ("realtime/live.js", "SILENCE"): 2.5 * HEARTBEAT_SECONDS * 1000,
    ("shop/hold-countdown.js", "ANNOUNCED_AT"): list(rules.EXPIRING_SECONDS),
    ("tickets/availability-labels.js", "FEW"): availability_labels.FEW,
    ("tickets/availability-labels.js", "FEW_SHARE"): availability_labels.FEW_SHARE,
    ("tickets/live-events.js", "MOST"): projections.NEXT_EVENTS,
    ("tickets/widget.js", "FEW"): availability_labels.FEW,
    ("tickets/widget.js", "REMOVED"): CloseCode.NO_SUCH_STREAM,
}
# The `maxlength` of each input in each template.
INPUTS: set[tuple[str, str, Any]] = {
    ("admission/door.html", "q", admission.SEARCH_LENGTH),
    ("admission/door.html", "shown", admission.SHOWN_LENGTH),
    ("admission/door_choose.html", "gate", admission.GATE_LENGTH),
    ("admission/ticket.html", "email", texts.EMAIL_LENGTH),
    ("admission/ticket.html", "holder", admission.HOLDER_LENGTH),
    ("box_office/attendees.html", "q", searches.LENGTH),
    ("box_office/codes.html", "q", searches.LENGTH),
    ("box_office/events.html", "q", searches.LENGTH),
    ("box_office/orders.html", "q", order_pages.SEARCH_LENGTH),
    ("box_office/persons.html", "q", texts.EMAIL_LENGTH),
    ("checkout/checkout.html", "email", texts.EMAIL_LENGTH),
    ("checkout/checkout.html", "name", texts.PERSON_NAME_LENGTH),
    ("checkout/checkout.html", "password", passwords.MAX_LENGTH),
    ("line/desk.html", "text", line.LONGEST_MESSAGE),
    ("line/desk.html", "text", line.LONGEST_VALUE),
    ("line/line.html", "code", CodeInput().fields["code"].max_length),  # type: ignore[attr-defined]
    ("line/line.html", "email", texts.EMAIL_LENGTH),
    ("stats/monitor.html", "q", searches.LENGTH),
    ("tickets/event_code.html", "code", voucher_rules.TEXT_LENGTH),
    ("tickets/home.html", "q", searches.LENGTH),
}


def constant(source: str, name: str) -> Any:
    """Return the value of a constant of a script: a number, a product of numbers, a text or a list."""
    [value] = re.findall(rf"^(?:export )?const {name} = (.+?);", source, re.MULTILINE)
    factors = [ast.literal_eval(each) for each in value.split(" * ")]
    return factors[0] if len(factors) == 1 else factors[0] * factors[1]


def lengths(template: str) -> list[tuple[str, int]]:
    """Return the name of each input of a template that has a `maxlength`, with this."""
    tags = re.findall(r"<(?:input|textarea)\b[^>]*\bmaxlength=[^>]*>", template)
    return [
        (re.findall(r'\bname="(\w+)"', tag)[0], int(re.findall(r'maxlength="(\d+)"', tag)[0])) for tag in tags
    ]


@pytest.mark.parametrize(("script", "name"), SCRIPTS)
def test_a_script_has_the_number_of_python(script: str, name: str) -> None:
    assert constant(scripts.source(script), name) == SCRIPTS[script, name]


def test_each_input_takes_as_much_as_the_server() -> None:
    found = {
        (f"{file.parent.name}/{file.name}", *each)
        for folder in get_app_template_dirs("templates")
        if ROOT in folder.parents and ".venv" not in folder.parts
        for file in folder.glob("**/*.html")
        for each in lengths(file.read_text())
    }
    assert found == INPUTS


def test_another_number_is_found() -> None:
    assert constant("const A = 1;\nconst PATIENCE = 2.5 * 1_000; // ms\n", "PATIENCE") == 2_500
    assert constant('export const LETTERS = "a*b";', "LETTERS") == "a*b"
    assert lengths('<input name="q"><p><textarea\n name="text" maxlength="9">') == [("text", 9)]
