"""Steps on accounts and guests inside an open transaction. The apps that build on this one call them too.

What must stay true: the rows of staff are locked in the order of their ids. A user is locked before the user's
codes, reservations and payments.
"""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError
from django.db.models import F, Q, Value
from django.db.models.lookups import Exact

from overlord.accounts import selectors
from overlord.accounts.models import BackupCode, EmailCode, NameKey, SecondFactor, StaffInvitation, User
from overlord.accounts.rules import MANAGE_STAFF, PersonOutdated, check_change
from overlord.kernel import db
from overlord.kernel.errors import Busy, Conflict, Forbidden, NotFound

ATTEMPTS = 3
LANGUAGE_KEEP = (
    "UPDATE accounts_user SET language = %(language)s WHERE id = %(user)s AND language <> %(language)s"
)


class EmailHasAccount(Conflict):
    code = "email_has_account"
    sentence = "There is already an account with this e-mail address. Log in to pay."


def guest_contact_set(*, user_id: int, email: str | None, name: str | None, by_staff: bool = False) -> None:
    """Set the e-mail address and the name of a guest. Do nothing for an account, which has its own.

    None leaves the stored value as it is. `by_staff` says whether staff entered the address instead of the guest.
    Raise EmailHasAccount if an account has the address: then the person should log in to this account.
    """
    db.transaction_required()
    guests = User.objects.filter(pk=user_id, is_guest=True)
    given: dict[str, Any] = {"contact_email": email, "contact_name": name}
    if email is not None:
        given["contact_by_staff"] = by_staff
    changed = guests.update(**{field: value for field, value in given.items() if value is not None})
    if changed and email is not None and selectors.is_email_of_account(email=email):
        raise EmailHasAccount()


def contacts_erase(*, user_ids: Collection[int]) -> None:
    """Erase the names and e-mail addresses of guests, whose rows stay."""
    db.transaction_required()
    guests = User.objects.filter(pk__in=user_ids, is_guest=True)
    guests.update(contact_email="", contact_name="", contact_by_staff=False, verified_email="")


def user_lock(*, user_id: int) -> User:
    """Lock and return a user. Lock the user before the user's reservations and payments."""
    db.transaction_required()
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def email_verified(*, guest_id: int, email: str) -> User:
    """Record that a guest has proven an address; return the guest to whom the address belongs.

    If another guest has proven the same address before, both are one person: the other guest keeps the address.
    Raise Busy if at each attempt another guest had the address, and lost it before it could be read.
    """
    db.transaction_required()
    guests = User.objects.filter(is_guest=True)
    for _ in range(ATTEMPTS):
        try:
            with db.savepoint():
                proven = {"verified_email": email, "contact_email": email, "contact_by_staff": False}
                guests.filter(pk=guest_id).update(**proven)
            return User.objects.get(pk=guest_id)
        except IntegrityError:
            owner = guests.filter(Exact(NameKey("verified_email"), NameKey(Value(email)))).first()
        if owner is not None:
            return owner
        # The other guest has lost the address meanwhile: try again.
    raise Busy()


def guest_proof_end(*, user_id: int, email: str) -> bool:
    """Forget the address that a guest has proven, unless it is `email`; return whether it was forgotten.

    Call this when staff change the address of a guest to `email`. Otherwise somebody who reads the mails to the
    proven address could get a code there, and with it a session of the guest. If the address was forgotten, the
    guest's sessions and tokens end too. A code that was mailed to the guest ends in any case.
    """
    db.transaction_required()
    EmailCode.objects.filter(pk=user_id).delete()
    proven = User.objects.filter(pk=user_id, is_guest=True).exclude(verified_email="")
    others = proven.exclude(Exact(NameKey("verified_email"), NameKey(Value(email))))
    return bool(others.update(verified_email="", login_epoch=F("login_epoch") + 1))


def guest_add(*, email: str, name: str) -> int:
    """Make a guest without a session, for a sale by staff, and return its id. Name and address may be empty."""
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
    """Set the language in which a user gets mails.

    Write nothing if the user has this language already, or if `language` is unknown ("").
    """
    db.transaction_required()
    if language:
        db.rows(LANGUAGE_KEEP, {"user": user_id, "language": language})


def user_anonymise(*, user_id: int) -> None:
    """Remove everything from a user that names the person, and end every session, token and socket.

    The row stays, with its id, because reservations and payments refer to it. Nobody can guess its new username.
    Otherwise a person could take this name in advance, and the erasure would fail.
    """
    db.transaction_required()
    name = f"erased-{user_id}-{secrets.token_hex(8)}"
    _invitations_delete(User.objects.get(pk=user_id))
    second_factor_delete(user_id=user_id)
    User.objects.filter(pk=user_id).update(
        username=name,
        email="",
        first_name="",
        last_name="",
        contact_email="",
        contact_name="",
        contact_by_staff=False,
        verified_email="",
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
    EmailCode.objects.filter(pk=user_id).delete()
    user.groups.clear()
    user.user_permissions.clear()
    # The admin's history repeats the name of an edited row.
    LogEntry.objects.filter(content_type__app_label="accounts", object_id=str(user_id)).update(
        object_repr=name
    )


def _invitations_delete(user: User) -> None:
    """Delete the invitations that the user accepted, and those to the user's addresses.

    Keep those to an address that another user has too.
    """
    sent = Q(accepted_by=user.pk)
    for address in user.addresses:
        if not selectors.others_with(address=address, user_id=user.pk).exists():
            sent |= Q(email_key=NameKey(Value(address)))
    StaffInvitation.objects.filter(sent).delete()


def second_factor_delete(*, user_id: int) -> None:
    """Delete the second factor of a user, with its backup codes."""
    db.transaction_required()
    SecondFactor.objects.filter(pk=user_id).delete()
    BackupCode.objects.filter(user=user_id).delete()


# Staff ---------------------------------------------------------------------------------------------------
def staff_lock(*, actor_id: int) -> None:
    """Lock the rows of all staff, so that nobody's roles or rights change until the transaction ends.

    The lock does not cover the roles themselves: meanwhile a superuser can change which permissions a role has.
    Raise Forbidden if the actor no longer has the right to manage staff.
    """
    staff_rows_lock()
    if not selectors.permitted(user_ids=[actor_id], permission=MANAGE_STAFF):
        raise Forbidden()


def staff_rows_lock() -> None:
    """Lock the rows of all staff, in the order of their ids."""
    db.transaction_required()
    staff = User.objects.filter(is_staff=True).order_by("pk").select_for_update(no_key=True)
    list(staff.values_list("pk", flat=True))


def staff_person_lock(*, actor_id: int, user_id: int, before: str) -> User:
    """Lock all staff and return one of them, whose rights the actor may change.

    `before` is the `access_version` that the actor saw. Raise NotFound for a person who is not staff,
    PersonOutdated if the rights have changed since `before`, and the errors of `check_change`.
    """
    staff_lock(actor_id=actor_id)
    person = User.objects.filter(pk=user_id, is_staff=True).first()
    if person is None:
        raise NotFound()
    check_change(
        actor_id=actor_id,
        rights=selectors.rights_of(user_id=actor_id),
        user_id=user_id,
        theirs=selectors.rights_of(user_id=user_id),
    )
    if selectors.access_version(user_id=user_id) != before:
        raise PersonOutdated()
    return person


def expired_invitation_end(*, email: str, now: datetime) -> None:
    """End the expired invitation of an address, if there is one, so that the address can be invited again."""
    db.transaction_required()
    found = StaffInvitation.objects.filter(StaffInvitation.OPEN, email_key=NameKey(Value(email)))
    found.filter(expires_at__lte=now).update(withdrawn_at=now)
