"""Steps of accounts inside an open transaction of another app."""

import secrets

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.db.models import F

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


def guest_add(*, email: str, name: str) -> int:
    """Make a guest whom no session knows, and return its id: somebody who buys from staff. Both may be empty."""
    db.transaction_required()
    guest = User.objects.create(
        username=f"guest-{secrets.token_hex(8)}",
        password=make_password(None),
        is_guest=True,
        contact_email=email,
        contact_name=name,
    )
    return int(guest.pk)


def language_keep(*, user_id: int, language: str) -> None:
    """Keep the language in which a user reads; nothing is written when it is the same, or not known."""
    db.transaction_required()
    if language:
        User.objects.filter(pk=user_id).exclude(language=language).update(language=language)


def user_anonymise(*, user_id: int) -> None:
    """Take everything from a user that says who it was, and end every session, token and socket.

    The row stays, with its number: reservations and payments belong to it.
    """
    db.transaction_required()
    name = f"erased-{user_id}"
    User.objects.filter(pk=user_id).update(
        username=name,
        email="",
        first_name="",
        last_name="",
        contact_email="",
        contact_name="",
        language="",
        password=make_password(None),
        last_login=None,
        is_active=False,
        is_staff=False,
        is_superuser=False,
        login_epoch=F("login_epoch") + 1,
    )
    user = User.objects.get(pk=user_id)
    user.api_tokens.all().delete()
    user.groups.clear()
    user.user_permissions.clear()
    # The admin's history repeats the name of what was edited.
    LogEntry.objects.filter(content_type__app_label="accounts", object_id=str(user_id)).update(
        object_repr=name
    )
