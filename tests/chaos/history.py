"""Record the requests of clients and their outcomes: ok, failed, or unknown.

Unknown means that the request may or may not have been carried out: no answer, a connection that ended, a 5xx, or a
client that left. Acknowledged changes are kept as facts, which the audit looks for in the database.
"""

import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """An answer to a client: the outcome, the status (0: no answer), and the body if it is JSON."""

    outcome: Outcome
    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def unknown(self) -> bool:
        return self.outcome is Outcome.UNKNOWN

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


def outcome_of(status: int) -> Outcome:
    """Return the outcome that a status tells: the request was done, was not done, or nobody knows."""
    if status == 0 or status >= 500:
        return Outcome.UNKNOWN
    return Outcome.OK if status < 400 else Outcome.FAILED


@dataclass
class Claim:
    """A reservation that was requested with a key, and all answers."""

    buyer: int
    quantity: int
    answers: list[tuple[Outcome, int]] = field(default_factory=list)  # with the id of the reservation, or 0


@dataclass
class Facts:
    """The answers of the system to clients, which the audit compares with the database."""

    claims: dict[str, Claim] = field(default_factory=dict)  # by key
    quantities: dict[int, int] = field(default_factory=dict)  # of reservations; not of those in doubt
    released: set[int] = field(default_factory=set)
    accepted: set[int] = field(default_factory=set)  # payments
    paid: set[int] = field(default_factory=set)
    refunded: set[int] = field(default_factory=set)  # payments whose refund was accepted
    # The ids of the scans that admitted, by code.
    admitted: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


@dataclass
class History:
    """All operations of a run, counted, and written to a file as they end."""

    file: Path
    facts: Facts = field(default_factory=Facts)
    counts: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    client_faults: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)  # answers that no client must ever get
    open_doubts: int = 0
    resolved_doubts: int = 0
    last_ok: float = 0.0  # of a write, by the monotonic clock

    def __post_init__(self) -> None:
        self._output = self.file.open("w", buffering=1 << 16)

    def record(self, operation: str, answer: Answer, *, began: float, write: bool, **facts: Any) -> None:
        """Count an operation and write it down."""
        now = time.monotonic()
        self.counts[operation, answer.outcome] += 1
        if write and answer.ok:
            self.last_ok = now
        line = {"t": round(began, 3), "s": round(now - began, 3), "op": operation, "is": answer.outcome}
        self._output.write(json.dumps({**line, "status": answer.status, **facts}) + "\n")

    def total(self, outcome: Outcome) -> int:
        return sum(number for (_, is_), number in self.counts.items() if is_ is outcome)

    def close(self) -> None:
        self._output.close()

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by operation and outcome."""
        operations: dict[str, dict[str, int]] = defaultdict(dict)
        for (operation, outcome), number in sorted(self.counts.items()):
            operations[operation][outcome] = number
        return {
            "operations": operations,
            **{str(outcome): self.total(outcome) for outcome in Outcome},
            "doubts_resolved": self.resolved_doubts,
            "doubts_left": self.open_doubts,
            "surprises": self.surprises[:20],
        }
