"""The errors of cancelling an event, and the check of the message to its buyers. Plain Python."""

from overlord.kernel import texts
from overlord.kernel.errors import Conflict, Invalid

MESSAGE_LENGTH = 2_000


class AlreadyCancelled(Conflict):
    code = "already_cancelled"
    sentence = "This event has already been cancelled."


class NotCancellable(Conflict):
    code = "not_cancellable"
    sentence = (
        "Only an event that is on sale can be cancelled. Buyers do not see a draft, so there is"
        " nothing to cancel."
    )


def message_read(text: str) -> str:
    """Return a text for buyers as it is stored; raise Invalid if it is too long or a mail cannot show it."""
    try:
        return texts.paragraphs(text, most=MESSAGE_LENGTH)
    except ValueError as error:
        raise Invalid(str(error), errors={"message": [str(error)]}) from None
