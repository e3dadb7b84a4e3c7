"""Measure a statement of ours in PostgreSQL alone, by PostgreSQL's program pgbench."""

import re
import subprocess
from collections.abc import Sequence

from benchmarks.system import System
from tickets import sql

UNLIMITED = {"most_held": "NULL", "expired": "NULL", "cooling": "NULL"}  # as with RATE_LIMITS=off
LIMITED = {"most_held": "10", "expired": "3", "cooling": "1800"}


def claim(types: Sequence[int], *, limits: dict[str, str] = UNLIMITED) -> str:
    """Return the script of `tickets.sql.CLAIM`, with the check of the buyer. Each claim is for one of the types."""
    named = {
        "buyer": "n",
        "ticket_type": ":type",
        "quantity": "1",
        "key": "NULL",
        "order": "NULL",
        "hold_seconds": "900",
    }
    chosen = f"\\set type random({types[0]}, {types[-1]})\n"
    return chosen + _for_next_buyer(sql.CLAIM % {**named, **limits})


def order(types: Sequence[int], *, limits: dict[str, str] = UNLIMITED) -> str:
    """Return the script of `tickets.sql.CLAIM_ORDER` for all of these types, one ticket each."""
    named = {
        "buyer": "n",
        "ticket_type": str(types[0]),
        "ticket_types": f"ARRAY[{', '.join(map(str, types))}]::bigint[]",
        "quantities": f"ARRAY[{', '.join('1' for _ in types)}]",
        "order": "NULL",
        "key": "NULL",
        "hold_seconds": "900",
    }
    return _for_next_buyer(sql.CLAIM_ORDER % {**named, **limits})


def claim_unchecked(types: Sequence[int]) -> str:
    """Return the script of `claim`, but without the check of the buyer."""
    unchecked = "SELECT c.* FROM buyer_next, reservation_claim(n, :type, 1, NULL, interval '900 s') c"
    return f"\\set type random({types[0]}, {types[-1]})\n" + _with_next_buyer(unchecked)


def _for_next_buyer(statement: str) -> str:
    return _with_next_buyer(
        statement.replace(" FROM (SELECT buyer_check", " FROM buyer_next, LATERAL (SELECT buyer_check", 1)
    )


def _with_next_buyer(statement: str) -> str:
    """Let `n` be the next buyer, the same one in the check and in the claim."""
    return f"WITH buyer_next AS MATERIALIZED (SELECT nextval('bench_buyer') AS n) {statement};\n"


def run(system: System, script: str, *, clients: int, seconds: float, options: str = "") -> float:
    """Return the transactions a second with prepared statements, which is pgbench's quickest way.

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
