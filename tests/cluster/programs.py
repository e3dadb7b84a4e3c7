"""Fetch the programs that the project does not install: Patroni from PyPI, etcd and HAProxy from Debian.

They go into the folder of the run's programs, `.cluster/`. Nothing is installed in the system.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PATRONI = ("patroni[etcd3]==4.1.5", "psycopg2-binary==2.9.13")
PACKAGES = ("etcd-server", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    folder: Path

    @property
    def patroni_python(self) -> Path:
        return self.folder / "patroni" / "bin" / "python"

    @property
    def etcd(self) -> Path:
        return self.folder / "debian" / "usr/bin/etcd"

    @property
    def haproxy(self) -> Path:
        return self.folder / "debian" / "usr/sbin/haproxy"

    @property
    def libraries(self) -> str:
        return ":".join(sorted({str(found.parent) for found in (self.folder / "debian").rglob("*.so*")}))


def fetched(folder: Path) -> Programs:
    """Return the programs; first fetch those that are missing. Raises CalledProcessError."""
    found = Programs(folder)
    if not (folder / "patroni" / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder / "patroni")], check=True)
        pip = [str(found.patroni_python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PATRONI], check=True)
        (folder / "patroni" / "whole").touch()
    if not (folder / "debian" / "whole").exists():
        packages = folder / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run([_found("apt-get"), "download", "-qq", *PACKAGES], cwd=packages, check=True)
        for package in packages.glob("*.deb"):
            subprocess.run([_found("dpkg-deb"), "-x", str(package), str(folder / "debian")], check=True)
        (folder / "debian" / "whole").touch()
    return found


def _found(program: str) -> str:
    return shutil.which(program) or program
