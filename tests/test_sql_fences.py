"""An app's SQL names only tables, functions and sequences of its own and of the apps below it.

SQL names all that it reads or changes. So each text of an app that could be SQL is searched for the names of the
project's tables, functions and sequences: the files under `sql/`, and the strings in Python code, migrations too.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[1]
CREATED = re.compile(
    r"CREATE (?:OR REPLACE )?(?:FUNCTION|SEQUENCE|TABLE|(?:MATERIALIZED )?VIEW) (?:IF NOT EXISTS )?([\w.]+)"
)


@dataclass(frozen=True)
class Text:
    """A piece of an app's code that may be SQL. `place` is its file and line."""

    app: str
    place: str
    sql: str


@cache
def layers() -> list[set[str]]:
    """Return the packages from top to bottom, those on one level together, as the import contracts have them.

    An app inside another app's folder, which the layers cannot name, is directly above that app.
    """
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [lines] = [contract["layers"] for contract in contracts if contract["id"] == "apps"]
    found = [set(line.split(" | ")) for line in lines]
    for name in ("tickets.admission", "tickets.line"):
        found.insert(found.index({name.rpartition(".")[0]}), {name})
    return found


@cache
def packages() -> list[str]:
    """Return the layers that are folders. The others are modules without SQL of their own."""
    return [name for level in layers() for name in sorted(level) if (ROOT / name.replace(".", "/")).is_dir()]


def allowed(app: str) -> set[str]:
    """Return the packages whose tables an app's SQL may name: its own, and those below."""
    [level] = [number for number, names in enumerate(layers()) if app in names]
    return {app}.union(*layers()[level + 1 :])


def strings(source: str) -> Iterator[tuple[int, str]]:
    """Yield each string of Python code with its line, docstrings left out."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def words(sql: str) -> set[str]:
    """Return the names in a text, alone and with the name before the dot."""
    return {*re.findall(r"\w+", sql), *re.findall(r"\w+\.\w+", sql)}


@cache
def texts() -> tuple[Text, ...]:
    """Return all texts of the apps that may be SQL."""
    found: list[Text] = []
    for app in packages():
        folder = ROOT / app.replace(".", "/")
        for file in sorted([*folder.rglob("*.sql"), *folder.rglob("*.py")]):
            place = str(file.relative_to(ROOT))
            inner = [other for other in packages() if other.startswith(f"{app}.")]
            if "tests" in file.relative_to(ROOT).parts or any(
                place.startswith(other.replace(".", "/")) for other in inner
            ):
                continue
            if file.suffix == ".sql":
                found.append(Text(app, place, re.sub(r"--.*", "", file.read_text())))
            else:
                found += [Text(app, f"{place}:{line}", text) for line, text in strings(file.read_text())]
    return tuple(found)


@cache
def owners(texts: tuple[Text, ...]) -> dict[str, str]:
    """Return the app of each table, function and sequence of the project."""
    tables = {
        model._meta.db_table: app.name
        for app in apps.get_app_configs()
        for model in app.get_models(include_auto_created=True)
        if app.name in packages()
    }
    return tables | {name: text.app for text in texts for name in CREATED.findall(text.sql)}


def trespasses(text: Text, owned: dict[str, str]) -> list[str]:
    """Return the names in the text that belong to apps other than its own and those below."""
    named = words(text.sql) & owned.keys()
    return sorted(name for name in named if owned[name] not in allowed(text.app))


def test_sql_names_only_objects_of_its_own_app_and_of_those_below() -> None:
    found = texts()
    owned = owners(found)

    assert [(text.place, *bad) for text in found if (bad := trespasses(text, owned))] == []


def test_the_apps_have_sql_and_tables_to_look_at() -> None:
    found = texts()
    owned = owners(found)
    with_sql = {text.app for text in found if words(text.sql) & owned.keys()}

    assert {"tickets", "checkout", "stats", "realtime", "overlord.accounts"} <= with_sql
    assert owned["tickets_reservation"] == owned["reservation_claim"] == "tickets"
    assert owned["realtime_version"] == "realtime"
    assert owned["accounts_user"] == "overlord.accounts"


@pytest.mark.parametrize(
    ("app", "sql", "named"),
    [
        ("tickets", "SELECT 1 FROM checkout_payment", ["checkout_payment"]),
        (
            "tickets",
            "SELECT (SELECT count(*) FROM checkout_refund r) FROM tickets_event",
            ["checkout_refund"],
        ),
        ("tickets", "UPDATE tickets_event e SET name = '' FROM stats_minute m", ["stats_minute"]),
        ("checkout", 'INSERT INTO "stats_reading" DEFAULT VALUES', ["stats_reading"]),
        ("tickets", "DELETE FROM line_entry", ["line_entry"]),
        ("tickets.line", "SELECT 1 FROM checkout_payment", ["checkout_payment"]),
        ("checkout", "SELECT 1 FROM line_entry JOIN tickets_reservation r ON r.id = order_id", []),
        ("tickets", "DELETE FROM admission_ticket", ["admission_ticket"]),
        ("tickets.admission", "SELECT 1 FROM checkout_payment", ["checkout_payment"]),
        (
            "checkout",
            "SELECT 1 FROM admission_ticket JOIN tickets_reservation r ON r.id = reservation_id",
            [],
        ),
        ("realtime", "SELECT * FROM reservation_claim(1, 2, 3, 'k', '1 s')", ["reservation_claim"]),
        ("overlord.accounts", "SELECT nextval('realtime_version')", ["realtime_version"]),
        ("checkout", "SELECT 1 FROM tickets_reservation JOIN checkout_payment USING (id)", []),
        ("stats", "SELECT 1 FROM tickets_reservation, checkout_payment, accounts_user", []),
    ],
)
def test_sql_that_reaches_up_is_found(app: str, sql: str, named: list[str]) -> None:
    assert trespasses(Text(app, "planted", sql), owners(texts())) == named


def test_sql_in_a_string_is_found_and_a_docstring_is_not_sql() -> None:
    source = 'def read():\n    """Read checkout_payment."""\n    return f"SELECT {1} FROM stats_minute"\n'

    assert [text for _, text in strings(source)] == ["SELECT ", " FROM stats_minute"]
