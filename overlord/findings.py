"""What a check of the system found, for `manage.py doctor`."""

from dataclasses import dataclass

FREE_BYTES = 500_000_000  # of the disk
FULL = 0.9  # of what a process or a server may use
CLOCK_SECONDS = 5.0  # by which two clocks may differ


@dataclass(frozen=True)
class Finding:
    """The result of one check. `logs` names the programs whose logs may tell more."""

    good: bool
    text: str
    logs: tuple[str, ...] = ()
