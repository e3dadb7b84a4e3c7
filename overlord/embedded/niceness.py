"""Let a process of `bin/up` get more or less of the CPU than the others while the cores are busy.

Linux divides the CPU among sessions first (autogroup), and each program has a session of its own. So the session
gets the niceness too; where there is no autogroup, that of the process alone counts.

Anybody may make a process nicer. Only root may make it less nice, or a user whose limit (RLIMIT_NICE, systemd's
`LimitNICE=`) allows that; otherwise it gets as much as the others.
"""

import contextlib
import os
import time
from pathlib import Path

TRIES = 20
PAUSE_SECONDS = 0.1  # in which Linux lets ordinary users change one session


def niceness_add(pid: int, niceness: int) -> None:
    """Make a process, what it starts, and its session so much nicer, or less nice. Zero changes nothing."""
    if not niceness:
        return
    with contextlib.suppress(OSError):  # it is refused, or the process has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + niceness)
        session_write(Path(f"/proc/{pid}/autogroup"), niceness)


def session_write(file: Path, niceness: int) -> None:
    """Write the niceness of a session, as soon as Linux takes it."""
    for _ in range(TRIES):
        try:
            file.write_text(str(niceness))
        except BlockingIOError:  # another session was changed just now
            time.sleep(PAUSE_SECONDS)
        else:
            return
