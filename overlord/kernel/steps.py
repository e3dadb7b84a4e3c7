"""The log of steps: one line for each step of a reservation, a payment and a refund, with the ids of its rows.

Holds that expire together have one line for each ticket type, without their ids. Actions of staff on the line of an
event are logged too. A log line has the `request_id` of the request or message in which the step was done. The
messages that a request sends to workers have the request's id. `manage.py trace` finds the lines with the ids of an
order's rows, and then all lines of the same requests, in the logs of every process.

What must stay true: no log line has a name, an address or a token.
"""

import secrets
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from overlord.kernel import db

REQUEST_ID = "request_id"

_logger = structlog.get_logger("overlord.steps")


def step_log(step: str, **facts: Any) -> None:
    """Log a step that is committed."""
    _logger.info(step, **{name: _plain(value) for name, value in facts.items()})


def step_log_after_commit(step: str, **facts: Any) -> None:
    """Log a step of the open transaction when the transaction has committed."""
    db.after_commit(lambda: step_log(step, **facts))


def request_begin(request_id: str | None = None) -> str:
    """Write a request's id into all lines that this thread logs from now on; return the id.

    `request_id` is the id in a message to a worker; without one, make a new id.
    """
    begun = request_id or secrets.token_hex(8)
    clear_contextvars()
    bind_contextvars(**{REQUEST_ID: begun})
    return begun


def request_end() -> None:
    """Write no request's id into the lines that this thread logs from now on."""
    clear_contextvars()


def request_id() -> str | None:
    """Return the id of the request for which this thread works; None if there is none."""
    found: str | None = get_contextvars().get(REQUEST_ID)
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | list | None) else str(value)
