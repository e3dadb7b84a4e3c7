"""The actions of staff on an order, and why an action, a sale at the counter or an erasure is refused.

The rules for the money of an order are in `rules`.
"""

from enum import StrEnum

from overlord.kernel import texts
from overlord.kernel.errors import Conflict, Invalid

NOTE_LENGTH = 2_000


class OrderAction(StrEnum):
    """An action of staff on an order."""

    NOTE = "note"
    MAIL = "mail sent again"
    ADDRESS = "address changed"
    RELEASE = "hold released"
    RETURN = "put back on sale"
    RETRY = "refund tried again"
    ELSEWHERE = "paid back elsewhere"


class NothingToSend(Conflict):
    code = "nothing_to_send"
    sentence = (
        "There are no tickets to send. Possible reasons: the order is not paid, it was refunded, its tickets are"
        " back on sale, or its event is cancelled."
    )


class AddressOfAccount(Conflict):
    code = "address_of_account"
    sentence = "This buyer has an account. Only the buyer can change the e-mail address of the account."


class WaitsInLine(Conflict):
    code = "waits_in_line"
    sentence = (
        "Nothing was changed, because this buyer is waiting in a line with a verified e-mail"
        " address. Try again when the buyer no longer waits."
    )


class OrderOutdated(Conflict):
    code = "order_outdated"
    sentence = (
        "Nothing was changed, because this order has changed since you opened the page. Check the"
        " order again."
    )


class NothingChosen(Invalid):
    code = "invalid"
    sentence = "Choose the number of tickets first."


class PriceChanged(Conflict):
    code = "price_changed"
    sentence = (
        "Nothing was sold, because the price has changed since you opened the page. Check the"
        " total, then sell again."
    )


class FormSold(Conflict):
    code = "form_sold"
    sentence = (
        "Nothing was sold, because this form was already used for another order. Check the total,"
        " then sell again."
    )


class NoAddress(Conflict):
    code = "no_address"
    sentence = "This order has no e-mail address. Enter one first."


class PersonIsStaff(Conflict):
    code = "person_is_staff"
    sentence = "This person is a member of staff. First end the person's access on the page People."


class NotThisPerson(Invalid):
    code = "not_this_person"
    sentence = (
        "Nothing was erased, because your text does not match the e-mail address or username"
        " shown. Check that this is the right person."
    )


def note_read(text: str) -> str:
    """Return a note as it is stored; raise Invalid if it is empty, too long, or cannot be shown on a page."""
    try:
        note = texts.paragraphs(text, most=NOTE_LENGTH)
    except ValueError as error:
        raise Invalid(str(error), errors={"text": [str(error)]}) from None
    if not note:
        raise Invalid("Enter a text first.", errors={"text": ["Enter a text first."]})
    return note
