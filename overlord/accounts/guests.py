"""Guests, for the pages of other apps: buyers without an account, known only by a session or a token.

It runs in the threads of the web processes.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError
from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from overlord.accounts import limits, services
from overlord.accounts.models import EmailCode, User
from overlord.kernel import client_address, clock, db
from overlord.shop import languages

_KEY = re.compile(r"[0-9a-f]{32}")  # 128 bits that the script of a page drew
_LEFT_AS_GUEST = "guest"  # in the session of an account: the guest who logged in to it

_followers: list[Callable[..., None]] = []


def register_follower(follow: Callable[..., None]) -> None:
    """Let `follow(guest_id=..., buyer_id=...)` give what a guest holds to the account that the guest logs in to.

    An app calls this when it is loaded. `follow` never raises an error that would prevent the log-in.
    """
    _followers.append(follow)


@contextmanager
def guest_begin(request: HttpRequest, *, key: str = "") -> Iterator[tuple[User, bool]]:
    """Make a guest of a visitor, and let the request's session be theirs once the block ends well.

    Yield the guest, and whether an earlier request with the same key made it: the visitor sent a form again,
    because the answer with the session did not come. When the block raises, no new guest is left. Raise TooMany.
    """
    limits.count_guest(address=client_address.of_request(request))
    guest, is_again = _guest(key, language=languages.of_request(request))
    try:
        yield guest, is_again
    except Exception:
        if not is_again:
            _forget(guest)
        raise
    _open_session(request, guest)


def _guest(key: str, *, language: str) -> tuple[User, bool]:
    """Return a new guest, or the one that the key made, and whether it is that one.

    Whoever has a key is its guest. So the key is secret and long, and only its hash is kept. It counts for as long
    as a hold, and only until the guest tells an address: whoever does that has the session.
    """
    if _KEY.fullmatch(key):
        name = _name_of(key)
        try:
            return _guest_make(name, language=language), False
        except IntegrityError:
            pass  # the name is taken
        since = clock.now() - timedelta(seconds=settings.HOLD_SECONDS)
        unknown = User.objects.filter(is_guest=True, contact_email="", verified_email="")
        young = unknown.filter(username=name, date_joined__gt=since)
        made = young.exclude(pk__in=EmailCode.objects.values("pk")).first()
        if made is not None:
            return made, True
    return _guest_make(f"guest-{secrets.token_hex(8)}", language=language), False


def _name_of(key: str) -> str:
    return f"guest-{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def is_guest_of(request: HttpRequest, *, key: str) -> bool:
    """Return whether the guest of a request was made by an earlier request with this key."""
    return is_guest(request) and bool(_KEY.fullmatch(key)) and request.user.get_username() == _name_of(key)


def _guest_make(username: str, *, language: str) -> User:
    return User.objects.create(
        username=username, password=make_password(None), is_guest=True, language=language
    )


def _forget(guest: User) -> None:
    try:
        db.statement("DELETE FROM accounts_user WHERE id = %s", [guest.pk])
    except IntegrityError:
        return  # the same form, sent again meanwhile, was granted what was refused here


def _open_session(request: HttpRequest, guest: User) -> None:
    """Do the part of Django's `login` that a guest needs, who has no last log-in and no rights."""
    if request.session.session_key is not None:
        request.session.cycle_key()  # somebody who gave the visitor this key must not share the session
    request.session[SESSION_KEY] = str(guest.pk)
    request.session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    request.session[HASH_SESSION_KEY] = guest.get_session_auth_hash()
    rotate_token(request)
    request.user = guest


def email_ask(request: HttpRequest, *, guest: User, email: str) -> None:
    """Mail a code to an address that the guest of a request says is theirs.

    Raise EmailHasAccount, TooMany and Busy.
    """
    address = client_address.of_request(request)
    services.email_code_request(guest_id=guest.pk, email=email, address=address, now=clock.now())


def email_asked(request: HttpRequest) -> str:
    """Return the address to which the guest of a request was sent a code that is still valid; "" if none was."""
    asked = EmailCode.objects.filter(pk=request.user.pk, expires_at__gt=clock.now()).first()
    return asked.email if asked else ""


def email_prove(request: HttpRequest, *, guest_id: int, code: str) -> User:
    """Take a guest's code, and return the guest whose address it proves: the session is theirs from now on.

    The guest's holds follow to the guest who proved the same address before. Raise WrongEmailCode.
    """
    owner = services.email_code_use(guest_id=guest_id, code=code, now=clock.now())
    if owner.pk != guest_id:
        _open_session(request, owner)
        logged_in(request, guest_id=guest_id, user=owner)
    return owner


def is_verified(request: HttpRequest) -> bool:
    """Return whether the request's user is an account, or a guest who has proven an e-mail address."""
    user = request.user
    return isinstance(user, User) and not (user.is_guest and user.verified_email == "")


def is_guest(request: HttpRequest) -> bool:
    """Return whether a guest makes the request."""
    return bool(getattr(request.user, "is_guest", False))


def logged_in(request: HttpRequest, *, guest_id: int, user: User) -> None:
    """Let what a guest holds follow the guest to the account of the request's new session.

    The session remembers the guest, because an order that is being paid for cannot follow yet, but may later.
    """
    request.session[_LEFT_AS_GUEST] = guest_id
    for follow in _followers:
        follow(guest_id=guest_id, buyer_id=user.pk)


@contextmanager
def log_in_followed(request: HttpRequest) -> Iterator[None]:
    """Let what the guest of a request holds follow to the account that this block logs in."""
    guest_id = request.user.pk if is_guest(request) else None
    yield
    user = request.user
    if guest_id is not None and isinstance(user, User) and user.pk != guest_id:
        logged_in(request, guest_id=guest_id, user=user)


def left_as(request: HttpRequest) -> int | None:
    """Return the guest who logged in to this account in this session; None when nobody did."""
    found: int | None = request.session.get(_LEFT_AS_GUEST)
    return found
