"""As whom PostgreSQL runs, and where its programs and data lie. It refuses to run as root.

An ordinary user: directly. Root: in a user namespace of its own. Root where namespaces are refused, or under
a folder that only another user may enter: as `nobody`, with a copy of the programs and the data in a folder
of their own, since the rights of the folders above the project are not ours to change.
"""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from overlord.embedded import binaries
from overlord.embedded.processes import LAUNCHER, Identity, Workplace

REFUGES = Path("/var/lib")


@dataclass(frozen=True, kw_only=True)
class PostgresHome:
    """Where PostgreSQL lives. `refuge` is the folder outside the project, if one is needed."""

    programs: Path
    data: Path
    identity: Identity
    refuge: Path | None = None

    @property
    def workplace(self) -> Workplace:
        return Workplace(folder=self.data, executable=self.programs / "postgres")

    def hand_over(self, *paths: Path) -> None:
        """Will give files that we made to the user PostgreSQL runs as."""
        if self.identity == "nobody":
            nobody = pwd.getpwnam("nobody")
            for path in paths:
                os.chown(path, nobody.pw_uid, nobody.pw_gid)


def find(folder: Path, *, refuge: Path | None = None) -> PostgresHome:
    """Will decide as whom PostgreSQL runs with data in the folder. `refuge`: what an earlier call made.

    Raises MissingBinaryError.
    """
    programs = binaries.postgres_folder()
    if refuge and refuge.is_dir():
        return as_nobody(refuge)
    if os.geteuid() != 0:
        return PostgresHome(programs=programs, data=folder / "postgres", identity="self")
    if namespace_works(programs, folder):
        return PostgresHome(programs=programs, data=folder / "postgres", identity="namespace")
    return as_nobody(make_refuge(REFUGES))


def namespace_works(programs: Path, folder: Path) -> bool:
    """Will try whether root may make a user namespace, and reach from it the programs and the folder."""
    attempt = ("/bin/sh", "-c", '"$0" --version && test -w "$1"', str(programs / "postgres"), str(folder))
    launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGKILL)))
    result = subprocess.run((*launch, "namespace", *attempt), capture_output=True, check=False)
    return result.returncode == 0


def make_refuge(parent: Path) -> Path:
    """Will make a folder, entered by all and written by root, with a data folder of nobody's in it."""
    refuge = Path(tempfile.mkdtemp(prefix="overlord-", dir=parent))
    refuge.chmod(0o711)
    return refuge


def as_nobody(refuge: Path) -> PostgresHome:
    """Will put the programs, as they are installed now, into the refuge, with a place for the data."""
    package = binaries.postgres_folder().parents[1]
    for source in (package, binaries.postgres_libraries()):
        target = refuge / source.name
        shutil.rmtree(target, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "include"))
            _open_to_all(target)
    data = refuge / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    home = PostgresHome(
        programs=refuge / package.name / "pginstall" / "bin",
        data=data / "postgres",
        identity="nobody",
        refuge=refuge,
    )
    home.hand_over(data)
    return home


def _open_to_all(folder: Path) -> None:
    """Will let everybody read what was installed with a umask that lets nobody."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
