"""Decide as which user PostgreSQL runs, and where its programs and data are. PostgreSQL refuses to run as root.

- An ordinary user runs PostgreSQL directly.
- Root runs it in a user namespace.
- If root cannot use a namespace, or cannot reach the data folder in it, PostgreSQL runs as the user `nobody`. Its
  data and a copy of its programs are then in an external folder. The user `nobody` often cannot reach the
  project's folder, and we do not change the permissions of the folders above it.
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
from overlord.embedded.processes import LAUNCHER, Identity, ProcessMatch

EXTERNAL_FOLDERS = Path("/var/lib")


@dataclass(frozen=True, kw_only=True)
class PostgresHome:
    """The folders of PostgreSQL's programs and data, and the identity that it runs with.

    `external_folder` is the folder outside the project, or None when none is needed.
    """

    programs: Path
    data: Path
    identity: Identity
    external_folder: Path | None = None

    @property
    def process_match(self) -> ProcessMatch:
        return ProcessMatch(folder=self.data, executable=self.programs / "postgres")

    def hand_over(self, *paths: Path) -> None:
        """Give files that we have made to the user `nobody`, if PostgreSQL runs as that user.

        Otherwise they have the right owner already.
        """
        if self.identity == "nobody":
            nobody = pwd.getpwnam("nobody")
            for path in paths:
                os.chown(path, nobody.pw_uid, nobody.pw_gid)


def find(folder: Path, *, external_folder: Path | None = None) -> PostgresHome:
    """Return the home of the PostgreSQL of a data folder; raise MissingBinaryError.

    `external_folder` is the folder that an earlier call has made, if any.
    """
    programs = binaries.postgres_folder()
    if external_folder and external_folder.is_dir():
        return as_nobody(external_folder)
    if os.geteuid() != 0:
        return PostgresHome(programs=programs, data=folder / "postgres", identity="self")
    if namespace_works(programs, folder):
        return PostgresHome(programs=programs, data=folder / "postgres", identity="namespace")
    return as_nobody(make_external_folder(EXTERNAL_FOLDERS))


def namespace_works(programs: Path, folder: Path) -> bool:
    """Return whether root may make a user namespace and reach the programs and the folder from it."""
    attempt = ("/bin/sh", "-c", '"$0" --version && test -w "$1"', str(programs / "postgres"), str(folder))
    launch = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGKILL)))
    result = subprocess.run((*launch, "namespace", *attempt), capture_output=True, check=False)
    return result.returncode == 0


def make_external_folder(parent: Path) -> Path:
    """Make a folder that everybody may enter and only root may change."""
    folder = Path(tempfile.mkdtemp(prefix="overlord-", dir=parent))
    folder.chmod(0o711)
    return folder


def as_nobody(external_folder: Path) -> PostgresHome:
    """Copy the installed programs into the external folder, make a folder for data there, and return the home."""
    package = binaries.postgres_folder().parents[1]
    for source in (package, binaries.postgres_libraries()):
        target = external_folder / source.name
        shutil.rmtree(target, ignore_errors=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "include"))
            _make_readable(target)
    data = external_folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    home = PostgresHome(
        programs=external_folder / package.name / "pginstall" / "bin",
        data=data / "postgres",
        identity="nobody",
        external_folder=external_folder,
    )
    home.hand_over(data)
    return home


def _make_readable(folder: Path) -> None:
    """Let every user read the copied files. The umask may have forbidden it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
