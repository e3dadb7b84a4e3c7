"""The result of a check of the system, and the limits of these checks, for `manage.py doctor`."""

from dataclasses import dataclass

FREE_BYTES = 500_000_000  # a disk with less free space is a finding
FULL = 0.9  # a process or server that uses a larger share of its limit is a finding
CLOCK_SECONDS = 5.0  # two clocks that differ by more are a finding


@dataclass(frozen=True)
class Finding:
    """The result of one check: whether it is good, and a sentence. `logs` names programs whose logs may help."""

    good: bool
    text: str
    logs: tuple[str, ...] = ()
