"""HTTP of what hashes passwords (log-in, sign-up, a new password), served by a Granian of its own.

It is the whole application; Caddy sends it those requests only. Its process yields the CPU to all others, so that a
rush of log-ins slows log-ins alone.
"""

import contextlib
import os
from pathlib import Path

from overlord.wsgi import application as application

NICENESS = 3  # half of the weight of a process that yields nothing


def _yield_cpu() -> None:
    os.nice(NICENESS)
    # Linux divides the CPU among sessions first, and `bin/up` gives each program a session of its own.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


_yield_cpu()
