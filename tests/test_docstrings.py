"""Docstrings say what the code does, in the imperative."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("overlord", "tickets", "checkout", "realtime", "stats", "benchmarks", "tests")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def promises(source: str) -> list[str]:
    """Return the docstrings of Python code that begin with "Will". ruff's D401 does not find them."""
    if "Will" not in source:
        return []
    found = (ast.get_docstring(node) for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED))
    return [text for text in found if text and text.split()[0] == "Will"]


def test_no_docstring_begins_with_will() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    found = {str(file.relative_to(ROOT)): promises(file.read_text()) for file in files}

    assert len(found) > 300
    assert {name: bad for name, bad in found.items() if bad} == {}


def test_a_docstring_that_begins_with_will_is_found() -> None:
    planted = 'class A:\n    async def b(self):\n        """Will give the answer."""\n'

    assert promises(planted) == ["Will give the answer."]
    assert promises(planted.replace("Will give", "Return")) == []
