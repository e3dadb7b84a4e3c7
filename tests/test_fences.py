"""The contracts of imports in pyproject.toml each fail on an import that they forbid."""

import copy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract, api
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

ROOT = Path(__file__).resolve().parents[1]
CONFIG = api.read_configuration(str(ROOT / "pyproject.toml"))
OPTIONS: dict[str, dict[str, Any]] = {options["id"]: options for options in CONFIG["contracts_options"]}
BORDERS = [name for name in OPTIONS if name.endswith("-border")]
TYPES: dict[str, Any] = {
    "protected": ProtectedContract,
    "layers": LayersContract,
    "forbidden": ForbiddenContract,
}
# zope.interface sets an attribute on `abc.ABC` that its subclasses cannot read, and import-linter reads it.
for contract_type in TYPES.values():
    contract_type.__provides__ = None
CONTRACTS: dict[str, Contract] = {
    name: TYPES[options["type"]](options["name"], CONFIG["session_options"], options)
    for name, options in OPTIONS.items()
}

# For each contract an import that it must refuse: the importing module and the imported one.
FAULTS = [
    ("apps", "tickets.operations", "checkout.selectors"),
    ("apps", "realtime.publish", "tickets.models"),
    ("apps", "overlord.kernel.db", "overlord.accounts.models"),
    ("inside", "tickets.selectors", "tickets.services"),
    ("inside", "checkout.models", "checkout.operations"),
    ("inside-realtime", "realtime.worker.flush", "realtime.gateway.hub"),
    ("inside-realtime", "realtime.store", "realtime.publish"),
    ("inside-gateway", "realtime.gateway.healing", "realtime.gateway.hub"),
    ("pure", "tickets.rules", "django"),
    ("pure", "checkout.rules", "redis"),
    ("tickets-border", "checkout.services.payments", "tickets.services"),
    ("tickets-border", "stats.selectors", "tickets.rules"),
    ("line-border", "tickets.operations", "tickets.line.operations"),
    ("line-border", "checkout.pages", "tickets.line.services"),
    ("inside", "tickets.line.operations", "tickets.line.services"),
    ("admission-border", "tickets.operations", "tickets.admission.operations"),
    ("admission-border", "checkout.pages", "tickets.admission.services"),
    ("inside", "tickets.admission.operations", "tickets.admission.services"),
    ("checkout-border", "stats.selectors", "checkout.gateways.ledger"),
    ("inside-realtime", "realtime.gateway.hub", "realtime.worker.flush"),
    ("inside-gateway", "realtime.gateway.healing", "realtime.gateway.hub"),
    ("realtime-border", "tickets.projections", "realtime.worker.flush"),
    ("realtime-border", "tickets.projections", "realtime.store"),
    ("stats-border", "overlord.health", "stats.selectors"),
    ("accounts-border", "tickets.api.views", "overlord.accounts.token_cache"),
    ("journal-border", "tickets.operations", "overlord.journal.sql"),
    ("mailings-border", "stats.tasks", "overlord.mailings.services"),
    ("demo-border", "stats.tasks", "overlord.demo.rush"),
    ("box-office-border", "stats.tasks", "overlord.box_office.selectors"),
    ("channels", "tickets.projections", "channels"),
    ("embedded", "overlord.embedded.supervisor", "tickets.models"),
    ("settings", "tickets.services", "overlord.settings.env"),
]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    packages = CONFIG["session_options"]["root_packages"]
    return grimp.build_graph(*packages, include_external_packages=True, cache_dir=None)


def kept(name: str, graph: grimp.ImportGraph) -> bool:
    """Return whether the contract is kept in the graph."""
    return CONTRACTS[name].check(graph=copy.deepcopy(graph), verbose=False).kept


def planted(graph: grimp.ImportGraph, importer: str, imported: str) -> grimp.ImportGraph:
    """Return the graph with one more import."""
    graph = copy.deepcopy(graph)
    graph.add_import(importer=importer, imported=imported, line_number=1, line_contents="planted")
    return graph


@pytest.mark.parametrize(("name", "importer", "imported"), FAULTS)
def test_a_forbidden_import_breaks_its_contract(
    graph: grimp.ImportGraph, name: str, importer: str, imported: str
) -> None:
    assert {importer, imported} <= graph.modules, "a planted fault is between modules that exist"
    assert kept(name, graph)
    assert not kept(name, planted(graph, importer, imported))


def test_each_contract_has_a_planted_fault() -> None:
    assert {name for name, _, _ in FAULTS} == CONTRACTS.keys()


@pytest.mark.parametrize("name", BORDERS)
def test_a_new_module_is_private_until_the_contract_names_it(graph: grimp.ImportGraph, name: str) -> None:
    [app] = OPTIONS[name]["protected_modules"]
    importer = "overlord.health"

    assert not kept(name, planted(graph, importer, f"{app}.brand_new"))
    assert not kept(name, planted(graph, importer, f"{app}.api.brand_new"))


def test_each_app_above_the_kernel_has_a_border() -> None:
    layers = {layer for line in OPTIONS["apps"]["layers"] for layer in line.split(" | ")}
    for_all = {"overlord.kernel", "overlord.shop"}  # what every app may use
    within = {"tickets.admission", "tickets.line"}  # apps in the folder of the app below
    composing = {layer for layer in layers if not (ROOT / layer.replace(".", "/")).is_dir()}

    assert {OPTIONS[name]["protected_modules"][0] for name in BORDERS} == (
        layers - for_all - composing | within
    )


# Of tickets, the line imports the same as every other app, and what every request to reserve and every page of an
# event share. To the contracts it is a part of tickets.
LINE_TAKES = {
    f"tickets.{name}"
    for name in (
        "operations",
        "selectors",
        "models",
        "rules",
        "event_rules",
        "limits",
        "api.serializers",
        "availability",
        "choices",
    )
}


def taken(graph: grimp.ImportGraph, app: str) -> set[str]:
    """Return what an app within the folder of tickets imports of tickets."""
    within = {name for name in graph.find_descendants(app) if ".tests" not in name}
    imported = {name for module in within for name in graph.find_modules_directly_imported_by(module)}
    return {name for name in imported if name.startswith("tickets.")} - within - {app}


def line_takes(graph: grimp.ImportGraph) -> set[str]:
    """Return what the line imports of tickets."""
    return taken(graph, "tickets.line")


def test_the_line_imports_of_tickets_what_every_app_may(graph: grimp.ImportGraph) -> None:
    assert line_takes(graph)
    assert line_takes(graph) <= LINE_TAKES


def test_an_import_of_the_line_of_what_is_private_to_tickets_is_noticed(graph: grimp.ImportGraph) -> None:
    found = line_takes(planted(graph, "tickets.line.services", "tickets.services"))

    assert found - LINE_TAKES == {"tickets.services"}


# The same of admission.
ADMISSION_TAKES = {
    f"tickets.{name}" for name in ("operations", "selectors", "models", "permissions", "rules")
}


def admission_takes(graph: grimp.ImportGraph) -> set[str]:
    """Return what admission imports of tickets."""
    return taken(graph, "tickets.admission")


def test_admission_imports_of_tickets_what_every_app_may(graph: grimp.ImportGraph) -> None:
    assert admission_takes(graph)
    assert admission_takes(graph) <= ADMISSION_TAKES


def test_an_import_of_admission_of_what_is_private_to_tickets_is_noticed(graph: grimp.ImportGraph) -> None:
    found = admission_takes(planted(graph, "tickets.admission.services", "tickets.services"))

    assert found - ADMISSION_TAKES == {"tickets.services"}
