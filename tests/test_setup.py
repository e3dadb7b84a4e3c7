"""`bin/setup` notices an incomplete environment, and does not wait for what never comes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.processes


def shell(root: Path, command: str) -> int:
    """Run a command with the functions of bin/setup; return its exit code."""
    script = f'root="{root}"; . "{ROOT}/bin/setup"; {command}'
    return subprocess.run(["/bin/sh", "-c", script], check=False, capture_output=True, timeout=60).returncode


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


@pytest.mark.parametrize(
    ("folder", "before", "made"),
    [("here", "true", True), ("missing", "true", False), ("here", "ulimit -f 0", False)],
    ids=["control", "no file can be made", "a file can be made but not filled"],
)
def test_setup_ends_where_it_can_write_no_lock(tmp_path: Path, folder: str, before: str, made: bool) -> None:
    (tmp_path / "here").mkdir()

    assert (shell(tmp_path / folder, f"{before}; acquire_lock") == 0) is made
    assert [file.name for file in (tmp_path / "here").iterdir()] == ([".venv.lock"] if made else [])
