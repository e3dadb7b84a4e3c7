"""The reads of the look from PostgreSQL, for the pages that change it.

All other pages and the mails use `look.py`, which keeps the look in memory.
"""

from overlord.shop.models import Look


def look() -> Look:
    """Return the look in PostgreSQL; without a row, the default look."""
    return Look.objects.filter(pk=1).first() or Look()


def is_logo(*, name: str) -> bool:
    """Return whether the shop shows this picture as its logo."""
    return Look.objects.filter(logo=name).exists()
