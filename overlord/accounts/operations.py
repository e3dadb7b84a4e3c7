"""Steps of accounts inside an open transaction of another app."""

from overlord.accounts import selectors
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import Conflict


class EmailHasAccount(Conflict):
    code = "email_has_account"
    sentence = "There is an account with this e-mail address. Log in to it to pay."


def guest_contact_set(*, user_id: int, email: str, name: str) -> None:
    """Keep where a guest's tickets go; an account has an address of its own, and is left as it is.

    Raise EmailHasAccount when the address is that of an account: its tickets belong there.
    """
    db.transaction_required()
    guests = User.objects.filter(pk=user_id, is_guest=True)
    if guests.update(contact_email=email, contact_name=name) and selectors.is_email_of_account(email=email):
        raise EmailHasAccount()
