"""Print the progress of `manage.py up`: one line for each step, and one screen when everything is ready."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from overlord.embedded import disk
from overlord.embedded.processes import ProcessFailedError
from overlord.embedded.state import Folder, SavedState


def say(text: str, *, end: str = "\n") -> None:
    """Print a text at once. If the terminal is closed, print nothing: the supervisor must still stop everything."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + end)
        sys.stdout.flush()


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print the name `what` of the step that the block does, and how long it took."""
    since = time.monotonic()
    say(f"{what[0].upper()}{what[1:]} ...", end=" ")
    try:
        yield
    except BaseException:
        say("")
        raise
    say(f"ready ({time.monotonic() - since:.1f} s)")


def application(url: str, folder: Folder, state: SavedState, *, sends_mail: bool) -> None:
    """Print the screen with all addresses, log-ins and folders."""
    mailbox = "" if sends_mail else f"\n  Mailbox      {url}/mailbox/   (mails are kept there, and not sent)"
    logins = ""
    if state.demo_loaded:
        logins = f"""
  Log in       staff / {state.demo_password}   (box office, monitor, admin and mailbox)
               buyer / {state.demo_password}
"""
    say(
        f"""
Ticket Overlord is ready.

  Shop         {url}/
  Box office   {url}/office/   (for staff: make events, put them on sale)
  Monitor      {url}/monitor/
  Admin        {url}/admin/{mailbox}
  API          {url}/api/docs/
  Health       {url}/readyz
{logins}
  Data         {folder.path}
  Logs         {folder.logs}

In another terminal, in the checkout:

  .venv/bin/python manage.py rush      send 100 test buyers to the shop, for about half a minute
  .venv/bin/python manage.py doctor    find out what is wrong
  .venv/bin/python manage.py reset     remove all data, for a fresh start

Ctrl-C stops everything and keeps the data.
"""
    )


def services(folder: Folder) -> None:
    """Print where the file with the addresses of PostgreSQL and Valkey is. Used if only these two run."""
    say(
        f"""
PostgreSQL and Valkey are ready. manage.py and pytest find them by themselves. Their addresses, with
passwords, are in
  {folder.env_file}
Ctrl-C stops them and keeps the data.
"""
    )


def failure(error: ProcessFailedError, logs: Path) -> None:
    """Print what failed and the last lines of its log."""
    say(f"\n{error.name} {error.reason}.")
    if disk.is_full(logs):
        say(f"Probably because {disk.description(logs)}. Make room and start it again.")
    if error.log:
        say(f"The last lines of its log:\n\n{error.log}\n")
    say(f"All logs: {logs}\nmanage.py doctor looks for the cause.")
