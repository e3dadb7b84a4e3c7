"""The actions of staff on an order, and why an action, a sale at the counter or an erasure is refused.

These are decisions on plain values. The rules for the money of an order are in `rules`.
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
        "This order is not paid, was refunded or returned, or its event is cancelled."
        " There are no tickets to send."
    )


class AddressOfAccount(Conflict):
    code = "address_of_account"
    sentence = "This buyer has an account. Only the buyer can change the address of the account."


class WaitsInLine(Conflict):
    code = "waits_in_line"
    sentence = (
        "Nothing was changed, because this buyer waits in a line with a proven address. Try again afterwards."
    )


class OrderOutdated(Conflict):
    code = "order_outdated"
    sentence = (
        "Nothing was changed, because this order has changed since you opened the page. Check it again."
    )


class NothingChosen(Invalid):
    code = "invalid"
    sentence = "Choose how many tickets first."


class PriceChanged(Conflict):
    code = "price_changed"
    sentence = "Nothing was sold: the price is no longer the one that the page showed. Check the total again."


class FormSold(Conflict):
    code = "form_sold"
    sentence = (
        "Nothing was sold now, because this form has already sold another order. Check the total, then sell"
        " it."
    )


class NoAddress(Conflict):
    code = "no_address"
    sentence = "This buyer gave no e-mail address. Enter one first."


class PersonIsStaff(Conflict):
    code = "person_is_staff"
    sentence = "This person is staff. End the access under People first."


class NotThisPerson(Invalid):
    code = "not_this_person"
    sentence = (
        "Nothing was erased, because what you typed is not the address or username shown. Check that this is"
        " the right person."
    )


def note_read(text: str) -> str:
    """Return a note as it is stored; raise Invalid if it is empty, too long, or cannot be shown on a page."""
    try:
        note = texts.paragraphs(text, most=NOTE_LENGTH)
    except ValueError as error:
        raise Invalid(str(error), errors={"text": [str(error)]}) from None
    if not note:
        raise Invalid("Write something first.", errors={"text": ["Write something first."]})
    return note
