"""CPU to the nanosecond, from the scheduler's own books: what is short would be lost in hundredths of a second."""

import contextlib
from pathlib import Path


def cpu(pid: int) -> float:
    """Will give the seconds that the threads of a process have had, none if it is gone (Linux only)."""
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9
