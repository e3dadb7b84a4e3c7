"""What a check of the system found, for `manage.py doctor`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The result of one check. `logs` names the programs whose logs may tell more."""

    good: bool
    text: str
    logs: tuple[str, ...] = ()
