"""`bin/setup` notices an incomplete environment, and does not wait for a process that has ended."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.processes


def shell(root: Path, command: str) -> int:
    """Run a command with the functions of bin/setup; return its exit code."""
    script = f'root="{root}"; . "{ROOT}/bin/setup"; {command}'
    return subprocess.run(["/bin/sh", "-c", script], check=False).returncode


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make an environment with one package; return the package's module."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    [packages] = (tmp_path / ".venv").glob("lib/python*/site-packages")
    (packages / "trial.py").touch()
    (packages / "trial-1.dist-info").mkdir()
    (packages / "trial-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: trial\nVersion: 1\n"
    )
    (packages / "trial-1.dist-info" / "RECORD").write_text("trial.py,,\n")
    return packages / "trial.py"


def test_a_half_deleted_environment_is_not_whole(environment: Path, tmp_path: Path) -> None:
    assert shell(tmp_path, "whole") == 0
    environment.unlink()
    assert shell(tmp_path, "whole") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know only the pid")
def test_setup_waits_only_for_a_process_that_installs(tmp_path: Path) -> None:
    up = tmp_path / "bin" / "up"
    up.parent.mkdir()
    up.write_text("read line\n")
    for argv, installs in ((["/bin/sh", str(up)], 0), (["sleep", "60"], 1)):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE)
        try:
            assert shell(tmp_path, f"installs {process.pid}") == installs
        finally:
            process.kill()
            process.communicate()
    assert shell(tmp_path, f"installs {process.pid}") == 1
