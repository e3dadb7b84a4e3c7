"""The use cases of accounts and guests: sign up, log in, prove an address, reset a password, issue tokens."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db.models import F, Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext

from overlord.accounts import limits, mails, operations, selectors, token_cache
from overlord.accounts.models import TAKEN, ApiToken, EmailCode, StaffInvitation, User
from overlord.kernel import db
from overlord.kernel.errors import Busy, Conflict, Invalid, NotFound
from overlord.kernel.pruning import prune, unreferenced
from overlord.kernel.queues import enqueue
from overlord.kernel.texts import name_key
from overlord.shop import look
from overlord.shop.languages import spoken

CODE_LIFETIME = timedelta(minutes=15)
CODE_TRIES = 5
USERNAME_ATTEMPTS = 3
HAS_ADDRESS = "This account already has an e-mail address."


class InvalidCredentials(Invalid):
    code = "invalid_credentials"
    sentence = "Wrong username, e-mail address or password."


class NotAGuest(Conflict):
    code = "not_a_guest"
    sentence = "This account already has a password."


class WrongEmailCode(Invalid):
    code = "wrong_email_code"
    sentence = (
        "This code is wrong or no longer valid. Use the code from the newest mail. A code is valid"
        " for 15 minutes and at most five tries."
    )


# The errors for two registrations at the same moment, by the constraint that the second one violates.
AT_ONCE = {
    name: Invalid(errors={field: [TAKEN[field]]})  # translated when a page shows it
    for name, field in {
        "user_unique_username": "username",
        "accounts_user_username_key": "username",
        "user_unique_email": "email",
    }.items()
}


def user_register(*, username: str, email: str, password: str, language: str = "") -> User:
    """Create an account and return it; raise Invalid, by field, for bad or taken names and a weak password."""
    user = User(username=username, email=User.objects.normalize_email(email), language=language)
    account_check(user, password)
    user.set_password(password)
    with db.constraint_errors(AT_ONCE), db.transaction():
        user.save()
    return user


def with_free_username(make: Callable[[str], User], *, email: str) -> User:
    """Call `make` with a free username for an e-mail address, and return the account that it makes.

    If another person takes this username at the same moment, call `make` again with another username. Try at most
    USERNAME_ATTEMPTS usernames. Raise what `make` raises.
    """
    for _ in range(USERNAME_ATTEMPTS - 1):
        try:
            return make(selectors.username_for(email=email))
        except Invalid as refused:
            if "username" not in refused.facts.get("errors", {}):
                raise
    return make(selectors.username_for(email=email))


def guest_claim(*, user_id: int, username: str, email: str, password: str) -> User:
    """Turn a guest into an account, and return it. The guest's tickets, sessions and tokens stay.

    Raise NotAGuest for an account, and Invalid as `user_register` does.
    """
    user = User.objects.get(pk=user_id)
    if not user.is_guest:
        raise NotAGuest()
    user.username, user.email = username, User.objects.normalize_email(email)
    account_check(user, password)
    named = {"username": user.username, "email": user.email, "password": make_password(password)}
    with db.constraint_errors(AT_ONCE), db.transaction():
        guests = User.objects.filter(pk=user_id, is_guest=True, is_active=True)
        if not guests.update(is_guest=False, **named):  # meanwhile the guest became an account, or was erased
            raise NotAGuest()
        EmailCode.objects.filter(pk=user_id).delete()  # an account has its own address, and proves no other
    token_cache.drop_user(user_id)
    return User.objects.get(pk=user_id)


def email_code_request(*, guest_id: int, email: str, address: str, now: datetime) -> EmailCode:
    """Mail a code to the e-mail address that a guest gives. An earlier code of the guest is no longer valid.

    `address` is the network address, for the limits. Raise NotAGuest, EmailHasAccount, TooMany, and Busy if the
    task cannot be enqueued.
    """
    if not User.objects.filter(pk=guest_id, is_guest=True).exists():
        raise NotAGuest(HAS_ADDRESS)
    limits.count_email_code(address=address, mailbox=selectors.mailbox_key(email=email))
    if selectors.is_email_of_account(email=email):
        raise operations.EmailHasAccount(
            "There is already an account with this e-mail address. Log in to this account."
        )
    asked = {"email": email, "nonce": secrets.token_hex(16), "tries": 0, "expires_at": now + CODE_LIFETIME}
    with db.transaction():
        guest = operations.user_lock(user_id=guest_id)
        if not (guest.is_guest and guest.is_active):  # the guest became an account, or was erased, meanwhile
            raise NotAGuest(HAS_ADDRESS)
        made, _is_new = EmailCode.objects.update_or_create(pk=guest_id, defaults=asked)
    if not enqueue("accounts.email_code_send", user_id=guest_id):
        made.delete()
        raise Busy()
    return made


def email_code_send(*, user_id: int, now: datetime) -> None:
    """Mail a guest the latest code; send nothing if it was used or has expired."""
    asked = EmailCode.objects.select_related("user").filter(pk=user_id, expires_at__gt=now).first()
    if asked is None:
        return
    facts = {"code": asked.code, "minutes": int(CODE_LIFETIME.total_seconds() // 60)}
    with spoken(asked.user.language):
        subject = gettext("Your code: %(code)s") % facts
        body = render_to_string("accounts/email_code_mail.txt", facts)
    message = EmailMessage(subject=subject, body=body, to=[asked.email], **look.envelope())
    mails.send(message, what=f"code of guest {user_id}")


def email_code_use(*, guest_id: int, code: str, now: datetime) -> User:
    """Accept a code once, and return the guest to whom the address belongs.

    This is the guest who asked, or a guest who proved the same address before, because both are one person. Raise
    WrongEmailCode.
    """
    mine = EmailCode.objects.filter(pk=guest_id, tries__lt=CODE_TRIES, expires_at__gt=now)
    if not mine.update(tries=F("tries") + 1):
        raise WrongEmailCode()
    asked = EmailCode.objects.get(pk=guest_id)
    if not constant_time_compare(asked.code, code.strip()):
        raise WrongEmailCode()
    with db.transaction():
        operations.user_lock(user_id=guest_id)  # before the code, in the order in which staff lock both rows
        if not EmailCode.objects.filter(pk=guest_id, nonce=asked.nonce).delete()[0]:
            raise WrongEmailCode()
        return operations.email_verified(guest_id=guest_id, email=asked.email)


def account_check(user: User, password: str) -> None:
    """Check the names and the password of an account before it is saved; raise Invalid, by field."""
    errors: dict[str, list[str]] = {}
    try:
        user.clean_names()
    except ValidationError as error:
        errors |= error.message_dict
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors["password"] = error.messages
    if errors:
        raise Invalid(errors=errors)


def user_identify(*, request: HttpRequest, username: str, password: str) -> User:
    """Return the active user with this username or e-mail address, and this password.

    Raise InvalidCredentials, and TooMany after too many attempts from the network address or for the account.
    """
    user = authenticate(request, username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials()
    return user


def language_keep(*, user_id: int | None, language: str) -> None:
    """Set the language in which a user gets mails. Do nothing for a visitor (None) or an unknown language ("")."""
    if user_id is not None and language:
        with db.transaction():
            operations.language_keep(user_id=user_id, language=language)


def password_reset_request(*, email: str, address: str) -> None:
    """Enqueue a mail with a link to choose a new password, to the account with this e-mail address, if any.

    A worker sends the mail, so that an answer takes equally long for known and unknown addresses. Raise TooMany,
    and Busy if the task cannot be enqueued.
    """
    limits.count_reset(address=address, account=name_key(email))
    user_id = selectors.user_id_to_reset(email=email)
    if not enqueue("accounts.password_reset_send", user_id=user_id or 0):  # 0: no account, so no mail
        raise Busy()


def password_reset_send(*, user_id: int, base_url: str) -> None:
    """Mail a user the link to choose a new password; send nothing if the account is inactive or does not exist."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return
    facts = {
        "user": user,
        "base_url": base_url,
        "uid": urlsafe_base64_encode(str(user.pk).encode()),
        "token": default_token_generator.make_token(user),
    }
    with spoken(user.language):
        subject = render_to_string("accounts/password_reset_subject.txt", facts)
        body = render_to_string("accounts/password_reset_mail.txt", facts)
    message = EmailMessage(subject=subject, body=body, to=[user.email], **look.envelope())
    mails.send(message, what=f"link to a new password of user {user_id}")


def token_issue(*, user: User, lifetime: timedelta, now: datetime, second_factor: bool = False) -> str:
    """Create an API token for one log-in and return its key. Only its hash is kept.

    `user` is as the log-in read it: if the password has changed since then, the token is not valid. `second_factor`
    says whether the person showed the second factor at the log-in. Delete the user's tokens that have ended.
    """
    key = secrets.token_urlsafe(32)
    with db.transaction():
        user.api_tokens.filter(Q(expires_at__lte=now) | Q(login_epoch__lt=user.login_epoch)).delete()
        ApiToken.objects.create(
            key_hash=ApiToken.hash_of(key),
            user=user,
            login_epoch=user.login_epoch,
            created_at=now,
            expires_at=now + lifetime,
            second_factor=second_factor,
        )
    return key


def token_end(*, token_hash: str) -> None:
    """End an API token, so that the client that uses it must log in again."""
    ApiToken.objects.filter(pk=token_hash).delete()
    token_cache.drop(token_hash)  # PostgreSQL notifies the other processes within milliseconds


def own_token_end(*, user_id: int, number: int) -> None:
    """End one of a user's own API tokens; raise NotFound when none of them has this number."""
    for token in selectors.tokens_of(user_id=user_id):
        if token.number == number:
            token_end(token_hash=token.key_hash)
            return
    raise NotFound()


def logins_end(*, user_id: int) -> None:
    """End every session, token and socket of a user."""
    User.objects.filter(pk=user_id).update(login_epoch=F("login_epoch") + 1)
    token_cache.drop_user(user_id)


def rows_prune(*, now: datetime, before: datetime) -> dict[str, int]:
    """Delete old rows, and return how many of each kind were deleted.

    Delete sessions and API tokens that have ended. Delete invitations and e-mail codes that ended before `before`,
    and guests who were made before `before`. A guest stays while a row refers to the guest, such as a reservation
    or a token that has not ended. So the codes are deleted before the guests.
    """
    guests = User.objects.filter(is_guest=True, date_joined__lt=before)
    ended = Q(accepted_at__lt=before) | Q(withdrawn_at__lt=before) | Q(expires_at__lt=before)
    return {
        "ended invitations": prune(lambda: StaffInvitation.objects.filter(ended)),
        "ended e-mail codes": prune(lambda: EmailCode.objects.filter(expires_at__lt=before)),
        "ended sessions": prune(lambda: Session.objects.filter(expire_date__lt=now)),
        "ended API tokens": prune(lambda: ApiToken.objects.filter(expires_at__lt=now)),
        "guests without reservations": prune(lambda: unreferenced(guests)),
    }
