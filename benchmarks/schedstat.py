"""Read CPU time in nanoseconds from the kernel's scheduler; the usual counters have hundredths of a second."""

import contextlib
from pathlib import Path


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process's threads, 0 if the process has ended (Linux only)."""
    total = 0
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9
