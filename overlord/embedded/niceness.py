"""Let a process of `bin/up` get more or less of the CPU than the others while the cores are busy.

Linux divides the CPU among sessions first (autogroup), and each program has a session of its own. So the session
gets the niceness too. Where there is no autogroup, only the niceness of the process counts.

Every user may make a process nicer, so that it gets less. Only root, or a user whose limit (RLIMIT_NICE, systemd's
`LimitNICE=`) allows it, may make a process less nice; for others it keeps the usual share.
"""

import contextlib
import os
import time
from pathlib import Path

TRIES = 20
PAUSE_SECONDS = 0.1  # between two changes of sessions by ordinary users, as Linux requires


def niceness_add(pid: int, niceness: int) -> None:
    """Add to the niceness of a process, of its session and of all that it starts. Zero changes nothing."""
    if not niceness:
        return
    with contextlib.suppress(OSError):  # it is refused, or the process has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + niceness)
        session_write(Path(f"/proc/{pid}/autogroup"), niceness)


def session_write(file: Path, niceness: int) -> None:
    """Write the niceness of a session; try again while Linux refuses the change as too early."""
    for _ in range(TRIES):
        try:
            file.write_text(str(niceness))
        except BlockingIOError:  # another session was changed just now
            time.sleep(PAUSE_SECONDS)
        else:
            return
