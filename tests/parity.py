"""Functions that exist in Python and in JavaScript. `parity.json` has the expected results of each.

Python and JavaScript are tested against the same cases. The names are Python's; JavaScript's are in camel case.
"""

import json
import re
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from checkout import stages
from overlord.shop import formats
from tickets import availability_labels, own_tickets
from tickets.admission import codes
from tickets.admission import rules as admission_rules
from tickets.line import labels as line_labels
from tickets.line import rules as line_rules
from tickets.line.tests import lines

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "parity.json").read_text(encoding="utf-8"))
LANGUAGES = ("en", "en-gb", "de")
OF_OWN = ("live_text", "limit_text", "can_choose")  # functions whose argument is a result of `of_type`
MODULES = (
    "shop/formats.js",
    "tickets/availability-labels.js",
    "tickets/own-tickets.js",
    "checkout/stages.js",
    "line/draw.js",
    "line/line-labels.js",
    "admission/codes.js",
)

# Returns the result of each case's function. Instants are strings in the cases, as in frames.
BROWSER = """
  const [modules, cases, done] = arguments;
  const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  const prepare = { stage_of: ([reservation, payment, now]) => [reservation, payment, Date.parse(now)] };
  Promise.all(modules.map((name) => import(name))).then((loaded) => {
    const known = Object.assign({}, ...loaded);
    return Promise.all(cases.map(({ function: name, arguments: given }) =>
      known[camel(name)](...(prepare[name] ?? ((all) => all))(given))));
  }).then(done, (error) => done(String(error)));
"""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def in_python() -> list[Any]:
    """Return the result of each case's function in Python, in the active language."""
    return [_call(case["function"], *_with_instants(case["arguments"])) for case in CASES]


def differences(results: list[Any], language: str, *, cases: list[dict[str, Any]] = CASES) -> list[str]:
    """Compare results with those of the cases in a language and describe each difference."""
    found = []
    for case, result in zip(cases, results, strict=True):
        expected = case["results"].get(language, case["results"]["en"])
        if _plain(result) != _plain(expected):
            found.append(f"{case['function']}{case['arguments']}: {result!r} is not {expected!r}")
    return found


def planted() -> list[dict[str, Any]]:
    """Return the cases, each with a wrong result, which a comparison must find."""
    return [{**case, "results": dict.fromkeys(case["results"], "planted")} for case in CASES]


def _call(name: str, *arguments: Any) -> Any:
    if name == "stage_of":
        reservation, payment, now = arguments
        return stages.stage_of(reservation, payment, now=now)
    if name in OF_OWN:
        arguments = (own_tickets.Own(**arguments[0]), *arguments[1:])
    modules = (
        formats,
        availability_labels,
        own_tickets,
        line_labels,
        line_rules,
        lines,
        admission_rules,
        codes,
    )
    result = next(getattr(module, name) for module in modules if hasattr(module, name))(*arguments)
    return asdict(result) if is_dataclass(result) and not isinstance(result, type) else result


def _with_instants(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_instants(each) for each in value]
    if isinstance(value, dict):
        return {name: _with_instants(each) for name, each in value.items()}
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        return datetime.fromisoformat(value)
    return value


def _plain(value: Any) -> Any:
    """Replace all kinds of space by one: browsers and servers write different ones in times and money."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return re.sub(r"\s", " ", value) if isinstance(value, str) else value
