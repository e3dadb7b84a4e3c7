"""The searches of long lists: the text that a reader asks for, and its words."""

from django.http import HttpRequest

LENGTH = 100
WORDS = 8  # each is a condition of the query


def text_asked(request: HttpRequest, *, most: int = LENGTH) -> str:
    """Return the text that a request searches for; "" for none. NULs are removed: PostgreSQL cannot read them."""
    return request.GET.get("q", "").replace("\0", "").strip()[:most]


def words(text: str) -> list[str]:
    """Return the first WORDS words of a search. A row is found if it has all of them."""
    return text.split()[:WORDS]
