"""The clock. Code of requests, tasks, commands and sockets reads it, and gives `now` to services and rules."""

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """Return the current time as an aware datetime in UTC."""
    return timezone.now()
