"""The requirements pin all packages that pyproject.toml names, each in the right file."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, EMBEDDED, DEV = "requirements.txt", "requirements-embedded.txt", "requirements-dev.txt"
OF_TESTS = re.compile(r"^(pytest|hypothesis|selenium|mypy|ruff|localstripe|.*-stubs$)")


def asked() -> dict[str, list[Requirement]]:
    """Return the packages that pyproject.toml names, by the file that pins them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = {
        RUNTIME: project["project"]["dependencies"],
        EMBEDDED: project["dependency-groups"]["embedded"],
        DEV: project["dependency-groups"]["dev"],
    }
    return {file: [Requirement(line) for line in lines] for file, lines in lists.items()}


def pinned(file: str) -> dict[str, str]:
    """Return the versions that a file pins, by package."""
    pairs = [entry.split()[0].split("==") for entry in entries(file)]
    return {canonicalize_name(name): version for name, version in pairs}


def entries(file: str) -> list[str]:
    """Return the entries of a file, each a line: a package with its version, where it is needed, and its hashes."""
    lines = (ROOT / file).read_text().replace("\\\n", "").splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("file", [RUNTIME, EMBEDDED, DEV])
def test_each_package_is_pinned_by_hashes(file: str) -> None:
    for entry in entries(file):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}(\s|$)", entry), entry


@pytest.mark.parametrize("file", [RUNTIME, EMBEDDED, DEV])
def test_each_named_package_is_pinned_at_a_version_that_fits(file: str) -> None:
    versions = pinned(file)
    for requirement in asked()[file]:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_no_two_files_pin_different_versions() -> None:
    pins = {pin for file in (RUNTIME, EMBEDDED, DEV) for pin in pinned(file).items()}

    assert len(pins) == len({name for name, _ in pins})


def test_no_test_package_is_needed_to_run() -> None:
    assert [name for name in pinned(RUNTIME) if OF_TESTS.match(name)] == []
    assert [name for name in pinned(DEV) if OF_TESTS.match(name)] != []


def test_everything_a_deployment_installs_is_in_the_runtime_file() -> None:
    installed = re.findall(r"requirements\S*\.txt", (ROOT / "Dockerfile").read_text())

    assert set(installed) == {RUNTIME}
