"""A short chaos run: parts of the running system break, and all invariants hold (docs/reliability.md)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.processes
@pytest.mark.xdist_group("systems")
@pytest.mark.timeout(900)
def test_no_fault_breaks_an_invariant(tmp_path: Path) -> None:
    # The deadline is long because a busy machine may be slow. A state that never settles is found anyway.
    command = [
        "--seconds",
        "20",
        "--buyers",
        "6",
        "--seed",
        "5",
        "--deadline",
        "240",
        "--report",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["violations"] == []
    assert found["stuck"] == []
    assert found["faults_of_the_system"] >= 5
    assert found["history"]["ok"] > 0
    assert found["snapshots"] > 0
    assert found["ledger"]["unmatched"] == 0
