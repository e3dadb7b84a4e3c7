"""The decisions about messages to the buyers of an event: texts, recipients, pace. Plain Python."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from overlord.kernel import texts
from overlord.kernel.errors import Invalid

SUBJECT_LENGTH = 150
TEXT_LENGTH = 20_000
REASON_LENGTH = 500
# After this number of attempts, a mail has failed. The attempts and the growing pauses take about four hours.
ATTEMPTS = 24
TICK = timedelta(seconds=5)
MINUTE = timedelta(minutes=1)


class Kind(StrEnum):
    """The subject matter of a message. A buyer who has stopped news still gets messages of the kind EVENT."""

    EVENT = "event"
    NEWS = "news"


class Audience(StrEnum):
    """The recipients of a message, by the state of their tickets."""

    TICKETS = "tickets"
    NOT_ADMITTED = "not_admitted"
    EVERYONE = "everyone"


# The ticket states of each audience.
STATES: dict[Audience, list[str]] = {
    Audience.TICKETS: ["valid", "admitted"],
    Audience.NOT_ADMITTED: ["valid"],
    Audience.EVERYONE: ["valid", "admitted", "revoked"],
}


def subject_read(text: str) -> str:
    """Return a subject in the form that is stored, on one line; raise Invalid."""
    return _read("subject", text, texts.one_line, most=SUBJECT_LENGTH)


def text_read(text: str) -> str:
    """Return the text of a message in the form that is stored; raise Invalid, also for an empty text."""
    found = _read("text", text, texts.paragraphs, most=TEXT_LENGTH)
    if not found:
        raise Invalid("Enter a text first.", errors={"text": ["Enter a text first."]})
    return found


def _read(field: str, text: str, read: Callable[..., str], *, most: int) -> str:
    try:
        return read(text, most=most)
    except ValueError as error:
        raise Invalid(str(error), errors={field: [str(error)]}) from None


def has_room(*, per_minute: int, last_minute: int, last_tick: int) -> bool:
    """Return whether one more mail may be sent now.

    `last_minute` and `last_tick` are how many mails were claimed in the last minute and in the last TICK. The limit
    for a TICK spreads the mails of a minute over the minute.
    """
    per_tick = -(-per_minute * TICK // MINUTE)
    return last_minute < per_minute and last_tick < per_tick


def try_again_after(attempts: int) -> timedelta:
    """Return the pause after this number of attempts: 2 seconds after the first, then doubled up to 15 minutes."""
    return timedelta(seconds=min(900, 2 ** min(attempts, 10)))
