"""Report what a run did and found: as JSON for programs, as Markdown for people."""

import json
import platform
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from overlord.embedded import program
from tests.chaos.history import Outcome
from tests.chaos.run import Run


def figures(run: Run) -> dict[str, Any]:
    """Return all that a run found."""
    result, history, readings = run.result, run.history, run.readings
    faults = Counter(run.storm.counts) + Counter(
        {
            f"clients: {name}" if ":" not in name else name: number
            for name, number in history.client_faults.items()
        }
    )
    swallowed = run.proxy_counts.get("postgres: swallowed", 0)
    return {
        "seed": result.options.seed,
        "commit": commit(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "seconds": round(result.seconds),
        "rounds": result.rounds,
        "faults": dict(sorted(faults.items())),
        "faults_total": faults.total(),
        "faults_of_the_system": run.storm.counts.total(),
        "faults_not_possible": dict(sorted(run.storm.impossible.items())),
        "commits_without_answer": swallowed,
        "small_disk": run.stage.has_small_disk,
        "wrong_clocks": sorted(run.stage.extras),
        "history": history.as_dict(),
        "snapshots": readings.snapshots,
        "moments_without_postgresql": readings.unreadable,
        "violations": readings.violations,
        "violations_by_kind": dict(readings.kinds),
        "ledger": result.ledger,
        "recovery_seconds": spread(result.recoveries),
        "settling_seconds": spread(result.settlings),
        "rate_in_calm": round(result.done_in_calm / result.calm_seconds) if result.calm_seconds else 0,
        "unknown_in_calm": result.unknown_in_calm,
        "stuck": result.stuck,
        "sockets": {**run.crowd.sockets(), "diverged": len(result.diverged), "foreign": result.foreign},
        "admitted_codes": len(history.facts.admitted),
    }


def failures(found: dict[str, Any]) -> list[str]:
    """Return the failures as texts; an empty list after a good run."""
    said = [f"{kind}: {number} times" for kind, number in found["violations_by_kind"].items()]
    said += [f"stuck in round {each['round']}: {each}" for each in found["stuck"]]
    if not found["snapshots"]:
        said.append("no snapshot was read")
    if not found["history"]["ok"]:
        said.append("nothing was acknowledged")
    if found["sockets"]["foreign"]:
        said.append(f"{found['sockets']['foreign']} rows of others on private screens")
    return said + found["history"]["surprises"]


def write(found: dict[str, Any], folder: Path) -> Path:
    """Write both reports into the folder, and return the one for people."""
    (folder / "report.json").write_text(json.dumps(found, indent=2, default=str) + "\n")
    page = folder / "report.md"
    page.write_text(markdown(found))
    return page


def markdown(found: dict[str, Any]) -> str:
    """Return the report for people."""
    history, ledger, sockets = found["history"], found["ledger"], found["sockets"]
    kinds = found["violations_by_kind"]
    operations = history["operations"]
    money = {name: ledger.get(f"{name}_minor") for name in ("charged", "taken", "paid_back", "returned")}
    rows = [
        ("time", f"{found['seconds']} s, {found['rounds']} rounds, seed {found['seed']}, {found['commit']}"),
        ("faults", found["faults_total"]),
        ("of them in processes, servers and network", found["faults_of_the_system"]),
        ("answers to COMMIT lost", found["commits_without_answer"]),
        ("operations acknowledged", history[Outcome.OK]),
        ("operations refused", history[Outcome.FAILED]),
        ("operations in doubt", history[Outcome.UNKNOWN]),
        ("claims in doubt, asked again until known", history["doubts_resolved"]),
        ("acknowledged a second in calm", found["rate_in_calm"]),
        ("in doubt in calm", found["unknown_in_calm"]),
        ("snapshots read", found["snapshots"]),
        ("moments without PostgreSQL", found["moments_without_postgresql"]),
        ("acknowledged and lost", _sum(kinds, "I5")),
        ("oversold", _sum(kinds, "I1")),
        ("charged twice, or not as our tables say", _sum(kinds, "I4")),
        ("tickets admitted twice", kinds.get("I9 a code admits once", 0)),
        ("all violations", sum(kinds.values())),
        ("rounds in which something was stuck", len(found["stuck"])),
        ("charges in the gateway's ledger", ledger.get("charges")),
        ("in our tables: paid, refunded", f"{ledger.get('paid')}, {ledger.get('refunded')}"),
        ("charges without their payment", ledger.get("unmatched")),
        ("charged by the ledger, by our tables", f"{money['charged']}, {money['taken']}"),
        ("paid back by the ledger, by our tables", f"{money['paid_back']}, {money['returned']}"),
        ("first write after a storm", _seconds(found["recovery_seconds"])),
        ("all settled after the load", _seconds(found["settling_seconds"])),
        (
            "screens; connections; frames",
            f"{sockets['screens']}; {sockets['connections']}; {sockets['frames']}",
        ),
        ("screens that differed after the deadline", sockets["diverged"]),
        ("rows of others on private screens", sockets["foreign"]),
        ("codes admitted", found["admitted_codes"]),
        ("disk that can be filled", "yes" if found["small_disk"] else "no: it needs root, and mount"),
        ("clocks five minutes off", ", ".join(found["wrong_clocks"]) or "none"),
    ]
    text = ["# A chaos run", "", "| what | found |", "| --- | --- |"]
    text += [f"| {name} | {value} |" for name, value in rows]
    text += ["", "| fault | times |", "| --- | --- |"]
    text += [f"| {kind} | {number} |" for kind, number in found["faults"].items()]
    text += ["", "| operation | ok | failed | unknown |", "| --- | --- | --- | --- |"]
    text += [
        f"| {name} | {by.get(Outcome.OK, 0)} | {by.get(Outcome.FAILED, 0)} | {by.get(Outcome.UNKNOWN, 0)} |"
        for name, by in operations.items()
    ]
    bad = failures(found)
    text += ["", "Nothing went wrong." if not bad else "What went wrong:", *(f"- {each}" for each in bad)]
    return "\n".join(text) + "\n"


def _sum(kinds: dict[str, int], invariant: str) -> int:
    return sum(number for kind, number in kinds.items() if kind.startswith(invariant))


def _seconds(spread: dict[str, float]) -> str:
    return f"p50 {spread['p50']} s, p95 {spread['p95']} s, longest {spread['max']} s"


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, the 95th percentile and the longest of some times."""
    ranked = sorted(values) or [0.0]
    at = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {
        name: round(ranked[min(len(ranked) - 1, int(len(ranked) * part))], 2) for name, part in at.items()
    }


def commit() -> str:
    """Return the commit of the code, or `unknown`."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, cwd=program.ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
