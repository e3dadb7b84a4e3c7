"""Steps of accounts inside an open transaction of another app."""

import secrets
from datetime import datetime

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

ASKED_AGAIN = 3  # times
LANGUAGE_KEEP = (
    "UPDATE accounts_user SET language = %(language)s WHERE id = %(user)s AND language <> %(language)s"
)


class EmailHasAccount(Conflict):
    code = "email_has_account"
    sentence = "There is an account with this e-mail address. Log in to it to pay."


def guest_contact_set(*, user_id: int, email: str | None, name: str | None) -> None:
    """Keep where a guest's tickets go, and the guest's name; an account has its own, and is left as it is.

    What is None stays as it was. Raise EmailHasAccount when the address is that of an account: its tickets belong
    there.
    """
    db.transaction_required()
    guests = User.objects.filter(pk=user_id, is_guest=True)
    given = {"contact_email": email, "contact_name": name}
    changed = guests.update(**{field: value for field, value in given.items() if value is not None})
    if changed and email is not None and selectors.is_email_of_account(email=email):
        raise EmailHasAccount()


def user_lock(*, user_id: int) -> User:
    """Lock and return a user. The reservations and payments of the user are locked after the user."""
    db.transaction_required()
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def email_verified(*, guest_id: int, email: str) -> User:
    """Record that a guest has proven an address; return the guest whose address it is from now on.

    Another guest who proved the same address before is the same person, and keeps it. Raises Busy when others prove
    the address and lose it again at each attempt.
    """
    db.transaction_required()
    guests = User.objects.filter(is_guest=True)
    for _ in range(ASKED_AGAIN):
        try:
            with db.savepoint():
                guests.filter(pk=guest_id).update(verified_email=email, contact_email=email)
            return User.objects.get(pk=guest_id)
        except IntegrityError:
            owner = guests.filter(Exact(NameKey("verified_email"), NameKey(Value(email)))).first()
        if owner is not None:
            return owner
        # What the other had proven has ended meanwhile.
    raise Busy()


def guest_proof_end(*, user_id: int, email: str) -> bool:
    """End what a guest proved with an address other than this one; return whether there was something to end.

    Somebody who reads the mails to the earlier address could open a session of the guest with a code. Sessions and
    tokens end too.
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
    """Keep the language in which a user reads; nothing is written when it is the same, or not known."""
    db.transaction_required()
    if language:
        db.rows(LANGUAGE_KEEP, {"user": user_id, "language": language})


def user_anonymise(*, user_id: int) -> None:
    """Remove from a user everything that tells who it was, and end every session, token and socket.

    The row stays, with its number: reservations and payments belong to it.
    """
    db.transaction_required()
    name = f"erased-{user_id}"
    _invitations_delete(User.objects.get(pk=user_id))
    second_factor_delete(user_id=user_id)
    User.objects.filter(pk=user_id).update(
        username=name,
        email="",
        first_name="",
        last_name="",
        contact_email="",
        contact_name="",
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
    """Delete the invitations that the user accepted, or that went to an address that nobody else has."""
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
    """Lock the rows of all staff, so that no rights change until the transaction ends; raise Forbidden.

    The actor must still have the right to manage staff.
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
    """Lock all staff and return one person whose rights the actor is to change.

    Raise NotFound for a person without access, PersonOutdated when the rights are not as the actor saw them
    (`before`), and what `check_change` raises.
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
    """End the invitation of an address that has expired, so that there can be another one."""
    db.transaction_required()
    found = StaffInvitation.objects.filter(StaffInvitation.OPEN, email_key=NameKey(Value(email)))
    found.filter(expires_at__lte=now).update(withdrawn_at=now)
