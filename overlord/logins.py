"""HTTP requests that hash passwords (log-in, sign-up, a new password), served by a separate Granian.

This server runs the whole application, but Caddy sends it only those requests. Its process yields the CPU to all
others, so that a rush of log-ins slows only log-ins.
"""

import contextlib
import os
from pathlib import Path

from overlord.wsgi import application as application

NICENESS = 3  # with it, a process gets half the CPU of another one


def _yield_cpu() -> None:
    os.nice(NICENESS)
    # Linux divides the CPU among sessions first, and `bin/up` gives each program a session of its own.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


_yield_cpu()
