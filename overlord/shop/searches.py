"""The searches of long lists: the text that a reader asks for, and its words."""

from django.http import HttpRequest

LENGTH = 100
WORDS = 8  # each is a condition of the query


def text_asked(request: HttpRequest, *, most: int = LENGTH) -> str:
    """Return the text that a request searches for; "" when it searches for none. PostgreSQL takes no NUL."""
    return request.GET.get("q", "").replace("\0", "").strip()[:most]


def words(text: str) -> list[str]:
    """Return the words of a search, each of which a row must have. Those after the first WORDS are left out."""
    return text.split()[:WORDS]
