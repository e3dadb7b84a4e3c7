"""What a check of the system found, for `manage.py doctor`."""

from dataclasses import dataclass

FREE_BYTES = 500_000_000  # a disk with less free space is a finding
FULL = 0.9  # a process or server that uses a larger share of its limit is a finding
CLOCK_SECONDS = 5.0  # by which two clocks may differ


@dataclass(frozen=True)
class Finding:
    """The result of one check. `logs` names the programs whose logs may tell more."""

    good: bool
    text: str
    logs: tuple[str, ...] = ()
