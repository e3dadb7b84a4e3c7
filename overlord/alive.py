"""A worker's sign of life: `celery worker --alive-file FILE` touches the file for as long as its loop turns.

A container's health check looks at the file's age, which costs nothing; `celery inspect ping` starts a Python
with all of Django for each question.
"""

from pathlib import Path
from typing import Any

from celery import Celery, bootsteps
from click import Option

EVERY = 5.0  # seconds


class SignOfLife(bootsteps.StartStopStep):
    """Touches the file by the worker's own timer, which stands still while the broker is away."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, worker: Any, alive_file: str | None = None, **_options: Any) -> None:
        self._file = Path(alive_file) if alive_file else None

    def start(self, worker: Any) -> None:
        if self._file:
            worker.timer.call_repeatedly(EVERY, self._file.touch)


def offer_sign_of_life(app: Celery) -> None:
    """Will let the app's workers take `--alive-file`."""
    app.user_options["worker"].add(Option(["--alive-file"], help="A file to touch while the worker works."))
    app.steps["worker"].add(SignOfLife)
