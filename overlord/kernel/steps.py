"""The log of steps: a line for each step of a reservation, a payment and a refund, with what it is about.

A line names rows by their ids and says in which request or message the step was done: `request_id` goes from a
request into the messages that it sends to workers. So one search finds all that happened to an order, in every
process (`manage.py trace`). No line holds a name, an address or a token.
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
    """Log a step of the open transaction once it is committed."""
    db.after_commit(lambda: step_log(step, **facts))


def request_begin(request_id: str | None = None) -> str:
    """Let all that this thread logs from now on belong to a request, or to the message of one; return its id."""
    begun = request_id or secrets.token_hex(8)
    clear_contextvars()
    bind_contextvars(**{REQUEST_ID: begun})
    return begun


def request_end() -> None:
    """Let what this thread logs from now on belong to no request."""
    clear_contextvars()


def request_id() -> str | None:
    """Return the id of the request that this thread works for."""
    found: str | None = get_contextvars().get(REQUEST_ID)
    return found


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | list | None) else str(value)
