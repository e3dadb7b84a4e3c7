"""The pinned requirements hold what pyproject.toml asks for, each package in the file where it belongs."""

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
    """Return what pyproject.toml asks for, by the file that pins it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = {
        RUNTIME: project["project"]["dependencies"],
        EMBEDDED: project["dependency-groups"]["embedded"],
        DEV: project["dependency-groups"]["dev"],
    }
    return {file: [Requirement(line) for line in lines] for file, lines in lists.items()}


def pinned(file: str) -> dict[str, str]:
    """Return the versions that a file pins, by package."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]
    pairs = [line.split(";")[0].strip().split("==") for line in lines]
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("file", [RUNTIME, EMBEDDED, DEV])
def test_what_is_asked_for_is_pinned_at_a_version_that_fits(file: str) -> None:
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
