"""What a benchmark found: its arms in a table, its goals with what was measured, and all of it as JSON."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NEARLY = 0.9


@dataclass(frozen=True)
class Scale:
    """How long to measure: rounds, and seconds of each arm in a round."""

    quick: bool

    @property
    def rounds(self) -> int:
        return 1 if self.quick else 5

    @property
    def seconds(self) -> float:
        return 1.5 if self.quick else 3.5

    def pick(self, quick: int, full: int) -> int:
        """Will give the one or the other number."""
        return quick if self.quick else full


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One of the goals of performance. `measured` are the rounds; their median is what counts.

    `least` or `most` is the floor below or above which it fails, `aim` what we would like, and `bound` what
    could be had at best by the run's own figures.
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
        """Will say "met" or "MISSED"; "out of reach" where the run's own bound lies below the floor, and nearly all
        of that bound was reached."""
        if self.met:
            return "met"
        beyond = self.least is not None and self.bound is not None and self.bound < self.least
        return "out of reach" if beyond and self.median >= NEARLY * (self.bound or 0) else "MISSED"


@dataclass
class Report:
    """One benchmark's outcome. Each arm has its columns, each column its rounds."""

    name: str
    arms: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, arm: str, **columns: float) -> None:
        """Will add one round of an arm."""
        rounds = self.arms.setdefault(arm, {})
        for name, value in columns.items():
            rounds.setdefault(name, []).append(value)

    def rounds(self, arm: str, column: str) -> list[float]:
        return self.arms[arm][column]

    def median(self, arm: str, column: str) -> float:
        return statistics.median(self.rounds(arm, column))

    def ratios(self, arm: str, other: str, column: str) -> list[float]:
        """Will divide two arms round by round: those of one round ran one after the other."""
        pairs = zip(self.rounds(arm, column), self.rounds(other, column), strict=True)
        return [mine / theirs for mine, theirs in pairs]

    def as_plain(self) -> dict[str, Any]:
        goals = [{**asdict(goal), "median": goal.median, "verdict": goal.verdict} for goal in self.goals]
        return {"name": self.name, "arms": self.arms, "goals": goals, "notes": self.notes}

    def as_text(self) -> str:
        """Will write the tables in Markdown, as the documentation has them."""
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
    """Will give the value below which that share of all lies, the nearest one there is."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def shown(rounds: Sequence[float] | None) -> str:
    """Will write the median, and the range where there are several."""
    if not rounds:
        return ""
    if len(rounds) == 1 or min(rounds) == max(rounds):
        return _number(statistics.median(rounds))
    return f"{_number(statistics.median(rounds))} ({_number(min(rounds))}-{_number(max(rounds))})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Will lay out a Markdown table."""
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
