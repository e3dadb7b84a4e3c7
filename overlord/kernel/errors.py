"""The categories of domain errors. Plain Python: nothing here knows HTTP or sockets.

A use case raises an error that names the situation, such as `SoldOut`. Its class derives from one of these
categories, and is defined next to the rule that raises it. `problems.py` gives each category its HTTP status.
"""

from typing import Any, ClassVar


class WrongValue(ValueError):
    """A value is wrong. `sentence` says why, in English, with placeholders such as `%(name)s` for the `facts`.

    `str(error)` is the sentence with the facts. A form translates it (`form_fields.wrong`).
    """

    def __init__(self, sentence: str, **facts: Any) -> None:
        super().__init__(sentence % facts if facts else sentence)
        self.sentence, self.facts = sentence, facts


class DomainError(Exception):
    """An error that is shown to the client. Programs use the `code`, which never changes, and the `facts`."""

    code: ClassVar[str]
    sentence: ClassVar[str]

    def __init__(self, sentence: str | None = None, **facts: Any) -> None:
        self.detail = sentence or self.sentence
        self.facts = facts
        super().__init__(self.detail)


class Invalid(DomainError):
    """The request itself is wrong. The fact `errors`, if there is one, has lists of sentences by field."""

    code = "invalid"
    sentence = "The request is not valid."


class Forbidden(DomainError):
    """The actor may not do this."""

    code = "permission_denied"
    sentence = "You are not allowed to do this."


class NotFound(DomainError):
    """The object does not exist, or it belongs to another user. Clients must not be able to tell which."""

    code = "not_found"
    sentence = "This does not exist, or it is not yours."


class Conflict(DomainError):
    """The request is well-formed, but the current state does not allow it."""

    code = "conflict"
    sentence = "This is not possible in the current state."


class Gone(DomainError):
    """The object existed and has ended."""

    code = "gone"
    sentence = "This is no longer available."


class Outdated(DomainError):
    """The client has read an older version of the data than the current one."""

    code = "outdated"
    sentence = (
        "Nothing was changed, because the data has changed since you last read it. Read the data"
        " again, then repeat your change."
    )


class Mismatch(DomainError):
    """An Idempotency-Key was used again for a different request."""

    code = "idempotency_key_reused"
    sentence = "This Idempotency-Key was already used for another request. Send this request with a new key."


class TooMany(DomainError):
    """The actor, account or network address has done this too often. In `retry_after` seconds it may try again."""

    code = "rate_limited"
    sentence = "Too many attempts. Please try again later."

    def __init__(self, sentence: str | None = None, *, retry_after: int, **facts: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **facts)


class Busy(DomainError):
    """A lock, a server or a connection was not available in time. The client should try again soon."""

    code = "busy"
    sentence = "The server is busy. Please try again in a moment."

    def __init__(self, sentence: str | None = None, *, retry_after: int = 1, **facts: Any) -> None:
        super().__init__(sentence, retry_after=retry_after, **facts)
