"""The name server of the cluster. Like that of Docker or Kubernetes it returns the addresses of all replicas.

It runs as a process of its own, so that the load does not hold it up, and reads a file at each question.
"""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.name_server import name_server


class Names(Mapping[str, list[str]]):
    """The addresses by name, as the file says now."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __getitem__(self, name: str) -> list[str]:
        found: list[str] = self._read()[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, list[str]]:
        read: dict[str, list[str]] = json.loads(self._file.read_text())
        return read


def write(file: Path, addresses: Mapping[str, list[str]]) -> None:
    """Give the names these addresses from now on."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(addresses))
    new.replace(file)


def words(file: Path, port: int) -> list[str]:
    """Return the command of the server."""
    return [sys.executable, "-m", "tests.cluster.names", str(file), str(port)]


if __name__ == "__main__":
    with name_server(Names(Path(sys.argv[1])), port=int(sys.argv[2])):
        signal.pause()
