"""What `manage.py up` says: one line a step, and one screen when everything is ready."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from overlord.embedded.processes import ProcessFailedError
from overlord.embedded.state import Folder, Memory


def say(text: str, *, end: str = "\n") -> None:
    """Will print at once; a terminal that is gone must not keep us from stopping in order."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + end)
        sys.stdout.flush()


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Will say what is being started or prepared, and how long it took."""
    since = time.monotonic()
    say(f"{what[0].upper()}{what[1:]} ...", end=" ")
    try:
        yield
    except BaseException:
        say("")
        raise
    say(f"ready ({time.monotonic() - since:.1f} s)")


def application(url: str, folder: Folder, memory: Memory) -> None:
    """Will print the one screen that says where everything is."""
    logins = ""
    if memory.demo_loaded:
        logins = f"""
  Log in       staff / {memory.demo_password}   (sees the monitor and the admin)
               buyer / {memory.demo_password}
"""
    say(
        f"""
Ticket Overlord is ready.

  Shop         {url}/
  Monitor      {url}/monitor/
  Admin        {url}/admin/
  API          {url}/api/docs/
  Health       {url}/readyz
{logins}
  Data         {folder.path}
  Logs         {folder.logs}

  A crowd      .venv/bin/python manage.py rush --buyers 100 --url {url}

  Ctrl-C stops everything and keeps the data. Python from the checkout, in another terminal:
  .venv/bin/python manage.py doctor says what is wrong; manage.py reset starts afresh.
"""
    )


def services(folder: Folder) -> None:
    """Will print where to find PostgreSQL and Valkey when only they run."""
    say(
        f"""
PostgreSQL and Valkey are ready. manage.py and pytest find them by themselves; their addresses, with
passwords, are in
  {folder.env_file}
Ctrl-C stops them and keeps the data.
"""
    )


def failure(error: ProcessFailedError, logs: Path) -> None:
    """Will print what failed and the last lines of its log."""
    say(f"\n{error.name} {error.reason}.")
    if error.log:
        say(f"The last lines of its log:\n\n{error.log}\n")
    say(f"All logs: {logs}\nmanage.py doctor looks for the cause.")
