"""The categories of the domain's errors. Plain Python: it knows neither HTTP nor sockets.

A use case raises an error that names the situation (`SoldOut`): a class derived from one of these categories, next
to the rule that raises it. `problems` gives each category its HTTP status.
"""

from typing import Any, ClassVar


class WrongValue(ValueError):
    """What is wrong with a value: a sentence in English, and the facts that it names as `%(name)s`.

    `str` is the sentence with its facts. A form says it in the reader's language (`form_fields.wrong`).
    """

    def __init__(self, sentence: str, **facts: Any) -> None:
        super().__init__(sentence % facts if facts else sentence)
        self.sentence, self.facts = sentence, facts


class DomainError(Exception):
    """An error that the client is told. `code` is stable; `facts` are what a program may act upon."""

    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, sentence: str | None = None, **facts: Any) -> None:
        self.detail = sentence or self.sentence
        self.facts = facts
        super().__init__(self.detail)


class Invalid(DomainError):
    """The request is malformed, whatever the state. `errors` in the facts has sentences by field."""

    code = "invalid"
    sentence = "The request is not valid."


class Forbidden(DomainError):
    """The actor may not do this."""

    code = "permission_denied"
    sentence = "You are not allowed to do this."


class NotFound(DomainError):
    """It does not exist, or it belongs to another user: clients must not be able to tell which."""

    code = "not_found"
    sentence = "This does not exist, or it is not yours."


class Conflict(DomainError):
    """The request is well-formed, but the current state does not allow it."""

    code = "conflict"
    sentence = "The current state does not allow this."


class Gone(DomainError):
    """It existed and has ended."""

    code = "gone"
    sentence = "This has ended."


class Outdated(DomainError):
    """The request was made from a version that has changed since."""

    code = "outdated"
    sentence = "This has changed since you read it, so nothing was done. Read it again."


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
    """A lock, a server or a connection was not available in time; the client should soon try again."""

    code = "busy"
    sentence = "The server is busy. Please try again in a moment."

    def __init__(self, sentence: str | None = None, *, retry_after: int = 1, **facts: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **facts)
