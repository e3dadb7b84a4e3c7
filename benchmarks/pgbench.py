"""Measure the same statement in PostgreSQL alone, by its own pgbench."""

import re
import subprocess

from benchmarks.system import System

# As `tickets.sql.CLAIM`, for the next buyer each time.
CLAIM = """
\\set type random({first}, {last})
SELECT * FROM reservation_claim(nextval('bench_buyer'), :type, 1, NULL, interval '900 s');
"""


def run(system: System, script: str, *, clients: int, seconds: float, options: str = "") -> float:
    """Return the transactions a second, with prepared statements, the quickest way that pgbench has.

    `options` are settings of its sessions, as in `-c name=value`. Raise RuntimeError if a transaction failed.
    """
    file = system.folder / "pgbench.sql"
    file.write_text(script)
    argv = [system.program("pgbench"), "--no-vacuum", "-M", "prepared", "-c", str(clients), "-j", "2"]
    argv += ["-T", str(max(1, round(seconds))), "-f", str(file), system.postgres.url]
    ended = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PGOPTIONS": options}
    )
    found = re.search(r"^tps = ([\d.]+)", ended.stdout, re.MULTILINE)
    if ended.returncode or not found or "number of failed transactions: 0 " not in ended.stdout:
        raise RuntimeError(f"pgbench failed: {ended.stdout}\n{ended.stderr}")
    return float(found[1])
