"""The documents say what the code does: every variable, every error code, every link."""

import importlib
import re
from pathlib import Path

import pytest
from django.conf import settings
from rest_framework import exceptions as drf

from overlord.kernel.errors import DomainError
from overlord.kernel.problems import STATUSES

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_variable_is_in_the_template() -> None:
    read = set(
        re.findall(
            r'_(?:text|folder|list|port|redis_urls|required|whole)\(\s*"([A-Z_]+)"',
            (ROOT / "overlord/settings/env.py").read_text(),
        )
    )
    explained = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.template").read_text(), re.MULTILINE))

    assert len(read) > 5
    assert explained == read


def errors() -> dict[str, int]:
    """Return the code of each error of the domain, with its status."""
    for module in (
        "tickets.rules",
        "tickets.event_rules",
        "tickets.admission.rules",
        "tickets.line.rules",
        "checkout.rules",
        "checkout.order_rules",
        "checkout.price_rules",
        "overlord.accounts.services",
        "overlord.accounts.rules",
    ):
        importlib.import_module(module)
    found: dict[str, int] = {}
    waiting: list[type[DomainError]] = [*DomainError.__subclasses__()]
    while waiting:
        category = waiting.pop()
        waiting.extend(category.__subclasses__())
        if not category.__module__.startswith("benchmarks"):
            found[category.code] = next(STATUSES[each] for each in category.__mro__ if each in STATUSES)
    return found


def documented() -> dict[str, int]:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    return {code: int(status) for code, status in rows}


def test_every_error_code_is_documented_with_its_status() -> None:
    assert errors().items() - documented().items() == set()


def test_every_documented_code_is_one_of_ours_of_the_framework_or_of_the_front_server() -> None:
    sources = [
        ROOT / "overlord/embedded/Caddyfile",
        *ROOT.glob("overlord/*/api/views.py"),
        *ROOT.glob("overlord/shop/*.py"),
        *ROOT.glob("overlord/kernel/*.py"),
    ]
    text = "\n".join(source.read_text() for source in sources)
    framework = {error.default_code for error in vars(drf).values() if hasattr(error, "default_code")}
    unknown = {code for code in documented().keys() - errors().keys() - framework if code not in text}
    assert unknown == set()


def test_the_times_at_which_old_data_is_deleted_are_those_of_the_schedule() -> None:
    entries = settings.CELERY_BEAT_SCHEDULE.values()
    schedules = [entry["schedule"] for entry in entries if entry["task"].endswith(".rows_prune")]
    times = sorted((*each.hour, *each.minute) for each in schedules)
    assert len(times) > 5

    first, last = (f"{hour}:{minute:02}" for hour, minute in (times[0], times[-1]))
    told = " ".join((ROOT / "docs/operations.md").read_text().split())
    assert f"Each night from {first} to {last} UTC" in told


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_within_the_project_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
        assert (document.parent / target).exists(), target


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_heading_leads_to_one(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", document.read_text())
    targets = [(document.parent / target if target else document, anchor) for target, anchor in links]
    lost = {anchor for target, anchor in targets if anchor not in headings(target)}
    assert lost == set()
    assert "no-such-heading" not in headings(document)
