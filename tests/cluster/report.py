"""Report what a run did and found: as JSON for programs, as Markdown for people."""

import json
from pathlib import Path
from typing import Any

from tests.chaos.history import Outcome
from tests.chaos.report import commit, spread
from tests.cluster.faults import Fault
from tests.cluster.run import Run


def figures(run: Run) -> dict[str, Any]:
    """Return all that a run found."""
    result, options, kinds = run.result, run.result.options, run.readings.kinds
    return {
        "seed": options.seed,
        "commit": commit(),
        "seconds": round(result.seconds),
        "synchronous": run.stage.synchronous,
        "control": run.stage.control,
        "offered": {"reservations": options.reservations, "payments": options.payments},
        "came": run.crowd.came,
        "turned_away": run.crowd.turned_away,
        "rate_before_faults": round(sum(result.rates) / len(result.rates), 1) if result.rates else 0,
        "faults": {
            str(fault): {
                "times": len(stops),
                **spread(stops),
                "screens": spread(result.screens[fault]),
                "pages": spread(result.pages[fault]),
                "failed": dict(result.failed[fault]),
                "sockets_closed": {str(code): number for code, number in result.closes[fault].items()},
            }
            for fault, stops in sorted(result.stops.items())
        },
        "failed_before_deploys": dict(result.failed_before),
        "not_made": {str(fault): number for fault, number in result.not_made.items()},
        "not_whole": result.not_whole,
        "history": run.history.as_dict(),
        "snapshots": run.readings.snapshots,
        "moments_without_postgresql": run.readings.unreadable,
        "violations": run.readings.violations,
        "violations_by_kind": dict(kinds),
        "lost": _sum(kinds, "I5"),
        "oversold": _sum(kinds, "I1"),
        "charged_wrongly": _sum(kinds, "I4"),
        "ledger": result.ledger,
        "settling_seconds": spread(result.settlings),
        "stuck": result.stuck,
        "sockets": {**run.crowd.sockets(), "foreign": result.foreign},
        "restarts": {name: each.starts - 1 for name, each in run.stage.processes.items() if each.starts > 1},
    }


def failures(found: dict[str, Any]) -> list[str]:
    """Return the failures as texts; an empty list after a good run."""
    said = [f"{kind}: {number} times" for kind, number in found["violations_by_kind"].items()]
    said += [f"stuck after {each['after']}: {each}" for each in found["stuck"]]
    said += [f"not whole again: {each}" for each in found["not_whole"]]
    # Failures before a deploy show that the machine is too slow for the load.
    if not found["failed_before_deploys"]:
        said += [
            f"failed by a deploy: {each}" for each in found["faults"].get(Fault.DEPLOY, {}).get("failed", {})
        ]
    if not found["history"]["ok"] or not found["snapshots"]:
        said.append("nothing was acknowledged, or no snapshot was read")
    if found["sockets"]["foreign"]:
        said.append(f"{found['sockets']['foreign']} rows of others on private screens")
    return said + found["history"]["surprises"]


def write(found: dict[str, Any], folder: Path) -> Path:
    """Write both reports into the folder, and return the one for people."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(found, indent=2, default=str) + "\n")
    page = folder / "report.md"
    page.write_text(markdown(found))
    return page


def markdown(found: dict[str, Any]) -> str:
    """Return the report for people."""
    history, ledger, settling = found["history"], found["ledger"], found["settling_seconds"]
    offered = found["offered"]
    rows = [
        ("time", f"{found['seconds']} s, seed {found['seed']}, {found['commit']}"),
        ("commits wait for a standby", "yes" if found["synchronous"] else "no"),
        ("guard taken away", found["control"] or "none"),
        ("offered a second", f"{offered['reservations']:g} reservations, {offered['payments']:g} payments"),
        ("buyers who came; who found all others busy", f"{found['came']}; {found['turned_away']}"),
        ("reservations a second before faults", found["rate_before_faults"]),
        ("operations ok, failed, unknown", ", ".join(str(history[outcome]) for outcome in Outcome)),
        ("claims in doubt, asked again until known", history["doubts_resolved"]),
        ("snapshots read; moments without PostgreSQL",
         f"{found['snapshots']}; {found['moments_without_postgresql']}"),
        ("acknowledged and lost", found["lost"]),
        ("oversold", found["oversold"]),
        ("charged twice, or not as our tables say", found["charged_wrongly"]),
        ("stuck", len(found["stuck"])),
        ("charges; paid, refunded; unmatched",
         f"{ledger.get('charges')}; {ledger.get('paid')}, {ledger.get('refunded')}; {ledger.get('unmatched')}"),
        ("all settled after the load", f"p50 {settling['p50']} s, longest {settling['max']} s"),
        ("our processes started again", sum(found["restarts"].values())),
    ]  # fmt: skip
    text = ["# A cluster run", "", "| what | found |", "| --- | --- |"]
    text += [f"| {name} | {value} |" for name, value in rows]
    text += [
        "",
        "| fault | times | not made | selling again after: p50 | p95 | longest"
        " | screens behind: p95 | longest |"
        " a page took: p50 | p95 | longest | failed requests | sockets closed, by code |",
        "| --- " * 13 + "|",
    ]
    names = sorted({*found["faults"], *found["not_made"]})
    text += [_row(name, found["faults"].get(name), found["not_made"].get(name, 0)) for name in names]
    bad = failures(found)
    text += ["", "Nothing went wrong." if not bad else "What went wrong:", *(f"- {each}" for each in bad)]
    return "\n".join(text) + "\n"


def _row(name: str, of: dict[str, Any] | None, not_made: int) -> str:
    if of is None:
        return f"| {name} | 0 | {not_made} |" + " |" * 10
    closed = ", ".join(f"{code}: {number}" for code, number in sorted(of["sockets_closed"].items()))
    cells = [
        name, of["times"], not_made,
        *(f"{of[part]} s" for part in ("p50", "p95", "max")),
        *(f"{of['screens'][part]} s" for part in ("p95", "max")),
        *(f"{of['pages'][part]} s" for part in ("p50", "p95", "max")),
        sum(of["failed"].values()), closed or "none",
    ]  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _sum(kinds: dict[str, int], invariant: str) -> int:
    return sum(number for kind, number in kinds.items() if kind.startswith(invariant))
