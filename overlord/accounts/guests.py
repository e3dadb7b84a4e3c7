"""Guests, for pages and the API: buyers without an account, recognised only by a session or a token.

This module makes guests, proves their e-mail addresses, and gives their orders to an account at a log-in. It runs
in the threads of the web processes.
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

_KEY = re.compile(r"[0-9a-f]{32}")  # 128 random bits, made by the script of a page
# The key in the session of an account. Its value is the id of the guest who logged in to the account.
_FORMER_GUEST = "guest"

_followers: list[Callable[..., None]] = []
_kept: list[str] = []  # keys in a session


def register_follower(follow: Callable[..., None]) -> None:
    """Call `follow(guest_id=..., buyer_id=...)` whenever a guest logs in to an account.

    Call it also when a guest proves the address of another guest. `follow` gives what the guest has in an app
    (orders, a place in a line) to the account or the other guest. It raises no error that would prevent the log-in.
    An app registers it when the app is loaded.
    """
    _followers.append(follow)


def register_kept(name: str) -> None:
    """When a guest logs in to an account on a page, keep the value that the guest's session has under `name`."""
    _kept.append(name)


@contextmanager
def guest_begin(request: HttpRequest, *, key: str = "") -> Iterator[tuple[User, bool]]:
    """Make a guest of a visitor, and give the guest a session when the block ends without an error.

    Yield the guest, and whether an earlier request with the same key made this guest: then the visitor has sent a
    form again, because the answer with the session did not arrive. `key` is 32 hexadecimal digits; with any other
    text, each request makes a new guest. If the block raises an error, delete a new guest. Raise TooMany.
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
    """Return a guest, and whether an earlier request with this key made the guest.

    Anyone who knows a key gets the session of the guest that was made with it. So a key is secret and long, and
    only its hash is kept. The key works for as long as a hold lasts, but only until the guest gives an e-mail
    address or asks for a code: then the guest has the session, and no longer needs the key.
    """
    if _KEY.fullmatch(key):
        name = _name_of(key)
        try:
            return _guest_make(name, language=language), False
        except IntegrityError:
            pass  # the name is taken
        since = clock.now() - timedelta(seconds=settings.HOLD_SECONDS)
        without_address = User.objects.filter(is_guest=True, contact_email="", verified_email="")
        recent = without_address.filter(username=name, date_joined__gt=since)
        found = recent.exclude(pk__in=EmailCode.objects.values("pk")).first()
        if found is not None:
            return found, True
    return _guest_make(f"guest-{secrets.token_hex(8)}", language=language), False


def _name_of(key: str) -> str:
    return f"guest-{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def is_guest_of(request: HttpRequest, *, key: str) -> bool:
    """Return whether a guest makes the request, and an earlier request with this key made this guest."""
    return is_guest(request) and bool(_KEY.fullmatch(key)) and request.user.get_username() == _name_of(key)


def _guest_make(username: str, *, language: str) -> User:
    return User.objects.create(
        username=username, password=make_password(None), is_guest=True, language=language
    )


def _forget(guest: User) -> None:
    try:
        db.statement("DELETE FROM accounts_user WHERE id = %s", [guest.pk])
    except IntegrityError:
        return  # the form was sent twice, and the other request made a reservation for this guest


def _open_session(request: HttpRequest, guest: User) -> None:
    """Do those parts of Django's `login` that a guest needs. A guest has no rights and no time of a last log-in."""
    if request.session.session_key is not None:
        request.session.cycle_key()  # somebody may have given the visitor this key, to share the session
    request.session[SESSION_KEY] = str(guest.pk)
    request.session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    request.session[HASH_SESSION_KEY] = guest.get_session_auth_hash()
    rotate_token(request)
    request.user = guest


def email_ask(request: HttpRequest, *, guest: User, email: str) -> None:
    """Mail a code to the e-mail address that a guest gives.

    Raise NotAGuest, EmailHasAccount, TooMany and Busy.
    """
    address = client_address.of_request(request)
    services.email_code_request(guest_id=guest.pk, email=email, address=address, now=clock.now())


def email_asked(request: HttpRequest) -> str:
    """Return the address to which a code was mailed that was not used and has not expired; else ""."""
    asked = EmailCode.objects.filter(pk=request.user.pk, expires_at__gt=clock.now()).first()
    return asked.email if asked else ""


def email_prove(request: HttpRequest, *, guest_id: int, code: str) -> User:
    """Accept the code that proves a guest's address; return the guest to whom the address belongs.

    If another guest has proven the same address before, both are one person: return the other guest, who gets the
    session and what the guest `guest_id` has. The request's user is then the returned guest. Raise WrongEmailCode
    or Busy.
    """
    owner = services.email_code_use(guest_id=guest_id, code=code, now=clock.now())
    if owner.pk != guest_id:
        _open_session(request, owner)
        guest_logged_in(request, guest_id=guest_id, user=owner)
    request.user = owner
    return owner


def is_verified(request: HttpRequest) -> bool:
    """Return whether the request's user is an account, or a guest who has proven an e-mail address."""
    user = request.user
    return isinstance(user, User) and not (user.is_guest and user.verified_email == "")


def is_guest(request: HttpRequest) -> bool:
    """Return whether a guest makes the request."""
    return bool(getattr(request.user, "is_guest", False))


def guest_logged_in(request: HttpRequest, *, guest_id: int, user: User) -> None:
    """Give what the guest has to the user of the request's new session.

    The session keeps the guest's id, because an order that is being paid for can follow only later.
    """
    request.session[_FORMER_GUEST] = guest_id
    for follow in _followers:
        follow(guest_id=guest_id, buyer_id=user.pk)


@contextmanager
def log_in_of_guest(request: HttpRequest) -> Iterator[None]:
    """If a guest makes the request, give what the guest has to the account that the block logs in."""
    guest_id = request.user.pk if is_guest(request) else None
    kept = {name: request.session[name] for name in _kept if name in request.session}
    yield
    user = request.user
    if guest_id is not None and isinstance(user, User) and user.pk != guest_id:
        request.session.update(kept)  # the log-in has emptied the session, because it was that of the guest
        guest_logged_in(request, guest_id=guest_id, user=user)


def former_guest_id(request: HttpRequest) -> int | None:
    """Return the id of the guest who logged in to the account of this session; None if there was no guest."""
    found: int | None = request.session.get(_FORMER_GUEST)
    return found
