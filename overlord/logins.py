"""The application of the log-in process: HTTP requests that hash passwords (log-in, sign-up, a new password).

A separate Granian runs the whole application, and Caddy sends only these requests to it. The process has a lower
priority for the CPU than all others, so that many log-ins at once slow only log-ins.
"""

import contextlib
import os
from pathlib import Path

from overlord.wsgi import application as application

NICENESS = 3  # a process with this niceness gets half the CPU time of another one


def _priority_lower() -> None:
    os.nice(NICENESS)
    # Linux first divides the CPU among sessions, and `bin/up` gives each program a session of its own.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


_priority_lower()
