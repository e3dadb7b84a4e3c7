"""Let a process of `bin/up` get more or less CPU time than the others while the cores are busy.

Linux first divides the CPU among sessions (autogroup), and each program has a session of its own. So the session
gets the niceness too. Without autogroup, only the niceness of the process counts.

A higher niceness means less CPU time; every user may set it. A lower one is allowed only to root, or to a user
whose limit (RLIMIT_NICE, `LimitNICE=` of systemd) allows it. For other users, the process keeps the usual share.
"""

import contextlib
import os
import time
from pathlib import Path

TRIES = 20
PAUSE_SECONDS = 0.1  # Linux requires this pause between two changes of sessions by ordinary users


def niceness_add(pid: int, niceness: int) -> None:
    """Add `niceness` to the niceness of a process, and set it for the session of this process.

    All processes that this process starts later inherit both.
    """
    if not niceness:
        return
    with contextlib.suppress(OSError):  # the change is refused, or the process has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + niceness)
        session_write(Path(f"/proc/{pid}/autogroup"), niceness)


def session_write(file: Path, niceness: int) -> None:
    """Write the niceness of a session; try again while Linux refuses it, because another change was just made."""
    for _ in range(TRIES):
        try:
            file.write_text(str(niceness))
        except BlockingIOError:  # another session was changed just now
            time.sleep(PAUSE_SECONDS)
        else:
            return
