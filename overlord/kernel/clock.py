"""The clock, for interfaces only: rules and services are given `now`."""

from datetime import datetime

from django.utils import timezone


def now() -> datetime:
    """Return the present instant, in UTC."""
    return timezone.now()
