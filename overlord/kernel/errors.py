"""What can go wrong, in the domain's words. Plain Python: it knows neither HTTP nor sockets.

A use case raises an error that names the situation (`SoldOut`, `HoldExpired`), defined beside the function
that raises it and derived from one of the categories here. `problems` says once which status a category has.
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal a client is told of. `code` is stable; `facts` are what a program may act upon."""

    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, sentence: str | None = None, **facts: Any) -> None:
        self.detail = sentence or self.sentence
        self.facts = facts
        super().__init__(self.detail)


class Invalid(DomainError):
    """The request makes no sense, whatever the state. `errors` in the facts ties sentences to fields."""

    code = "invalid"
    sentence = "The request is not valid."


class Forbidden(DomainError):
    """The actor may not do this."""

    code = "permission_denied"
    sentence = "You are not allowed to do this."


class NotFound(DomainError):
    """There is no such thing, or it is another's, which must look the same."""

    code = "not_found"
    sentence = "There is no such thing, or it is not yours."


class Conflict(DomainError):
    """The request makes sense, but not in the present state."""

    code = "conflict"
    sentence = "That does not fit the present state."


class Gone(DomainError):
    """It was there and has ended."""

    code = "gone"
    sentence = "It has ended."


class Mismatch(DomainError):
    """An Idempotency-Key was used again for something else."""

    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was used for another request."


class TooMany(DomainError):
    """The actor, the account or the address has done this too often; it may again in `retry_after` seconds."""

    code = "rate_limited"
    sentence = "Too many attempts. Please try again later."

    def __init__(self, sentence: str | None = None, *, retry_after: int, **facts: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **facts)


class Busy(DomainError):
    """A lock, a server or a connection was not to be had in time; trying again soon will do."""

    code = "busy"
    sentence = "The server is busy. Please try again in a moment."

    def __init__(self, sentence: str | None = None, *, retry_after: int = 1, **facts: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **facts)
