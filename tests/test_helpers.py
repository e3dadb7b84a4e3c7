"""Code that several tests need is in a helper module: no test imports from another test module or a conftest.

And no test is named by the whole content of a file, or is inside another function, where pytest does not find it.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("overlord", "tickets", "checkout", "realtime", "stats", "tests")
OF_TESTS = re.compile(r"(^|\.)(test_\w+|conftest)$")


def modules() -> list[Path]:
    """Return the test modules, conftests and helper modules."""
    found = [
        file
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        if "tests" in file.relative_to(ROOT).parts
    ]
    return [ROOT / "conftest.py", *sorted(found)]


def borrowed(source: str) -> list[str]:
    """Return the test modules and conftests from which Python code imports."""
    named: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in named if OF_TESTS.search(name)]


def test_no_test_imports_from_another_test() -> None:
    found = {str(file.relative_to(ROOT)): borrowed(file.read_text()) for file in modules()}

    assert len(found) > 50
    assert {name: bad for name, bad in found.items() if bad} == {}


@pytest.mark.parametrize(
    "planted",
    ["from conftest import x", "from tickets.tests import test_api", "from tickets.tests.test_api import reserve",
     "import tests.conftest"],
)  # fmt: skip
def test_an_import_from_a_test_is_found(planted: str) -> None:
    assert borrowed(planted) != []


def test_a_helper_may_be_imported() -> None:
    assert borrowed("from tests.clients import api_of\nfrom tests import threads") == []


def inner(source: str) -> list[str]:
    """Return the tests that are inside another function."""
    functions = [each for each in ast.walk(ast.parse(source)) if isinstance(each, ast.FunctionDef)]
    found = [each for outer in functions for each in ast.walk(outer) if each is not outer]
    return [
        each.name for each in found if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    ]


def test_no_test_is_inside_another_function() -> None:
    found = {str(file.relative_to(ROOT)): inner(file.read_text()) for file in modules()}

    assert {name: lost for name, lost in found.items() if lost} == {}


def test_control_a_test_inside_another_is_found() -> None:
    assert inner("class TestA:\n    def test_b(self):\n        def test_c(): ...") == ["test_c"]


@pytest.mark.parametrize("content", ["short", bytes(10_000_001)])
def test_a_long_value_is_named_by_its_length(request: pytest.FixtureRequest, content: str | bytes) -> None:
    assert request.node.name.endswith("[short]" if content == "short" else "[content of 10000001]")
    assert max(len(item.nodeid) for item in request.session.items) < 500
