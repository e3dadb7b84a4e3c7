"""The format of log lines: JSON in production, for programs; plain text everywhere else, for people."""

import logging
from collections.abc import MutableMapping
from typing import Any

import structlog

# The processors that add data to each log line, also to the lines of libraries.
SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def plain_line(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    """Return a log event as text: "2026-01-02T03:04:05Z INFO overlord.steps: payment_taken payment=7 attempt=1"."""
    head = (
        f"{event.pop('timestamp')} {event.pop('level').upper()} {event.pop('logger')}: {event.pop('event')}"
    )
    exception = event.pop("exception", None)
    line = " ".join([head, *(f"{name}={value}" for name, value in event.items())])
    return f"{line}\n{exception}" if exception else line


class LinksHidden(logging.Filter):
    """Hide the texts in the path of a logged request, because a link to tickets or to a new password is a secret.

    Numbers in the path, such as the id of an event, are not hidden.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        match = getattr(getattr(record, "request", None), "resolver_match", None)
        texts = (
            {name: value for name, value in match.kwargs.items() if isinstance(value, str)} if match else {}
        )
        for name, value in texts.items():
            record.args = tuple(
                each.replace(value, f"<{name}>") if isinstance(each, str) else each
                for each in record.args or ()
            )
        return True


def configure(*, level: str, json: bool) -> dict[str, Any]:
    """Configure structlog, and return Django's LOGGING."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer() if json else plain_line,
        ],
        "foreign_pre_chain": SHARED,
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "filters": {"links_hidden": {"()": LinksHidden}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"level": "INFO", "handlers": []},
            # Django would log each refusal, such as a 409, as a warning. At the opening of a sale there are many.
            "django.request": {"level": "ERROR", "filters": ["links_hidden"]},
            "stripe": {"level": "WARNING"},
            # This logger has a level of its own, because Celery sets that of the root logger to its --loglevel.
            "overlord.steps": {"level": level},
        },
    }
