"""Another text of a function of the database, for controls."""

from collections.abc import Iterator
from contextlib import contextmanager

from overlord.kernel import db


@contextmanager
def function_replaced(name: str, text: str) -> Iterator[None]:
    """Replace a function by another text of it, and put back the function that was there."""
    [present] = db.rows("SELECT pg_get_functiondef(%(name)s::regproc) AS text", {"name": name})
    db.rows(text.replace("%", "%%"))
    try:
        yield
    finally:
        db.rows(present["text"].replace("%", "%%"))
