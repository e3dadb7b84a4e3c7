"""The documents say what the code does: every variable, every error code, every link."""

import importlib
import re
from pathlib import Path

import pytest

from overlord.kernel.errors import DomainError

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_variable_is_in_the_template() -> None:
    read = set(
        re.findall(
            r'_(?:env\.\w+|list|port|required|whole)\(\s*"([A-Z_]+)"',
            (ROOT / "overlord/settings/env.py").read_text(),
        )
    )
    explained = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.template").read_text(), re.MULTILINE))

    assert len(read) > 5
    assert explained == read


def codes() -> set[str]:
    for module in ("tickets.rules", "tickets.line.rules", "checkout.rules", "overlord.accounts.services"):
        importlib.import_module(module)
    found: set[str] = set()
    waiting: list[type[DomainError]] = [DomainError]
    while waiting:
        category = waiting.pop()
        waiting.extend(category.__subclasses__())
        if "code" in vars(category):
            found.add(category.code)
    return found


def test_every_error_code_is_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE))

    assert codes() - documented == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target
