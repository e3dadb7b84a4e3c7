"""Hold and print what a benchmark measured: a table of its arms, its goals, and all figures as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NEARLY = 0.9  # a goal beyond the bound is not missed if this share of the bound is reached


@dataclass(frozen=True)
class Scale:
    """How long to measure: the rounds, and the seconds of each arm in a round."""

    quick: bool
    late: bool = False

    @property
    def rounds(self) -> int:
        if self.quick:
            return 1
        return 2 if self.late else 3

    @property
    def seconds(self) -> float:
        if self.quick:
            return 1.5
        return 2.0 if self.late else 2.5

    def pick(self, quick: int, full: int) -> int:
        """Return the number for this scale."""
        return quick if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal of performance. `measured` has a figure for each round; their median decides.

    The goal is missed below `least` or above `most`. `aim` is what we would like, `bound` the best that is possible
    according to this run's own figures.
    """

    name: str
    measured: Sequence[float]
    least: float | None = None
    most: float | None = None
    aim: float | None = None
    bound: float | None = None
    unit: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.measured)

    @property
    def met(self) -> bool:
        above = self.least is None or self.median >= self.least
        return above and (self.most is None or self.median <= self.most)

    @property
    def verdict(self) -> str:
        """Return "met", "MISSED" or "out of reach".

        A goal is out of reach if the run's own bound misses it too, and nearly all of the bound was reached.
        """
        if self.met:
            return "met"
        return "out of reach" if self._bound_nearly_reached() else "MISSED"

    def _bound_nearly_reached(self) -> bool:
        if self.bound is None:
            return False
        if self.least is not None and self.bound < self.least:
            return self.median >= NEARLY * self.bound
        return self.most is not None and self.bound > self.most and self.median * NEARLY <= self.bound


@dataclass
class Report:
    """The result of a benchmark: each arm has columns, each column a figure for each round."""

    name: str
    arms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, arm: str, **columns: float) -> None:
        """Add one round of an arm."""
        rounds = self.arms.setdefault(arm, {})
        for name, value in columns.items():
            rounds.setdefault(name, []).append(value)

    def rounds(self, arm: str, column: str) -> list[float]:
        return self.arms[arm][column]

    def median(self, arm: str, column: str) -> float:
        return statistics.median(self.rounds(arm, column))

    def ratios(self, arm: str, other: str, column: str) -> list[float]:
        """Divide two arms round by round: the arms of a round ran one after the other."""
        pairs = zip(self.rounds(arm, column), self.rounds(other, column), strict=True)
        return [mine / theirs for mine, theirs in pairs]

    def as_plain(self) -> dict[str, Any]:
        goals = [{**asdict(goal), "median": goal.median, "verdict": goal.verdict} for goal in self.goals]
        return {"name": self.name, "arms": self.arms, "goals": goals, "notes": self.notes}

    def as_text(self) -> str:
        """Return the tables in Markdown, as the documents have them."""
        parts = [f"## {self.name}"]
        columns = list(dict.fromkeys(name for arm in self.arms.values() for name in arm))
        if columns:
            parts.append(
                table(
                    ["arm", *columns],
                    [
                        [arm, *(shown(cells.get(name)) for name in columns)]
                        for arm, cells in self.arms.items()
                    ],
                )
            )
        if self.goals:
            parts.append(
                table(["goal", "limit", "aim", "measured", "bound", ""], [_goal(g) for g in self.goals])
            )
        parts += self.notes
        return "\n\n".join(parts)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of all values lies; always one of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(rounds: Sequence[float] | None) -> str:
    """Return the median as text, with the range if the values differ."""
    if not rounds:
        return ""
    if len(rounds) == 1 or min(rounds) == max(rounds):
        return _number(statistics.median(rounds))
    return f"{_number(statistics.median(rounds))} ({_number(min(rounds))}-{_number(max(rounds))})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _goal(goal: Goal) -> list[str]:
    limit = f"at least {_number(goal.least)}" if goal.least is not None else ""
    limit = f"at most {_number(goal.most)}" if goal.most is not None else limit
    bound = "" if goal.bound is None else f"{_number(goal.bound)} ({goal.median / goal.bound:.0%} of it)"
    aim = "" if goal.aim is None else _number(goal.aim)
    measured = f"{shown(goal.measured)} {goal.unit}".rstrip()
    return [goal.name, f"{limit} {goal.unit}".rstrip(), aim, measured, bound, goal.verdict]


def _number(value: float) -> str:
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
