"""The second factor of staff: which actions need it, and whether a session or token has shown it.

A middleware checks it for pages and the admin, `StaffPermission` for the API, and the gateway for sockets.

Apps name their actions by `protect` (`checkout/apps.py` for refunds). It runs in the threads of the web processes.
A session that showed a code remembers the factor and the time; a token has it from its log-in.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from overlord.accounts import selectors
from overlord.accounts.models import ApiToken, SecondFactor
from overlord.kernel import clock

IN_SESSION = "second_factor"  # [when the factor was made, when its code was shown], as Unix times
LASTS = timedelta(hours=12)
OF_LOG_IN = {"login", "logout", "jsi18n"}  # of the admin


class Mode(StrEnum):
    """The values of STAFF_SECOND_FACTOR: who must show a second factor."""

    OFF = "off"
    MONEY = "money"
    STAFF = "staff"


_protected: set[str] = set()


def protect(permissions: Iterable[str]) -> None:
    """Let actions with these permissions ask for the second factor. An app calls this when it is loaded."""
    _protected.update(permissions)


def is_asked(permission: str) -> bool:
    """Return whether an action with this permission needs the second factor too."""
    mode = settings.STAFF_SECOND_FACTOR
    return bool(mode == Mode.STAFF or (mode == Mode.MONEY and permission in _protected))


def is_on() -> bool:
    """Return whether any action needs a second factor."""
    return bool(settings.STAFF_SECOND_FACTOR != Mode.OFF)


def remember(session: SessionBase, *, factor: SecondFactor, now: datetime) -> None:
    """Mark a session as one that has shown the second factor.

    Its key changes, so that a copied key gains nothing.
    """
    session.cycle_key()
    session[IN_SESSION] = [factor.made_at.timestamp(), now.timestamp()]


def is_shown(session: Any, *, user_id: int, now: datetime) -> bool:
    """Return whether a session has shown the present second factor of its user within the last hours."""
    return IN_SESSION in session and _is_of(session, selectors.second_factor(user_id=user_id), now)


def _is_of(session: Any, factor: SecondFactor | None, now: datetime) -> bool:
    made, shown = session.get(IN_SESSION, (0.0, 0.0))
    is_recent = 0 <= now.timestamp() - shown < LASTS.total_seconds()
    return is_recent and factor is not None and factor.made_at.timestamp() == made


def is_shown_by(request: Any) -> bool:
    """Return whether a request of the API comes with a token or a session that has shown the second factor."""
    if isinstance(request.auth, str):
        return bool(request.user.second_factor)
    return is_shown(request.session, user_id=request.user.pk, now=clock.now())


def shown_among(*, by: str, keys: Collection[str], now: datetime) -> set[str]:
    """Return which of these tokens (by the hash of the key) or sessions have shown the second factor."""
    if by == "token":
        tokens = ApiToken.objects.filter(key_hash__in=keys, second_factor=True)
        return set(tokens.values_list("key_hash", flat=True))
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    sessions = {row.session_key: row.get_decoded() for row in rows}
    users = [said[SESSION_KEY] for said in sessions.values() if SESSION_KEY in said]
    factors = {str(each.pk): each for each in SecondFactor.objects.filter(pk__in=users)}
    return {
        key for key, said in sessions.items() if _is_of(said, factors.get(said.get(SESSION_KEY, "")), now)
    }


class SecondFactorMiddleware:
    """Send staff to the page that asks for the second factor, before a page that needs it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if not is_on() or hasattr(view, "cls") or not _is_asked_by(request, view):
            return None
        if is_shown(request.session, user_id=request.user.pk or 0, now=clock.now()):
            return None
        return redirect(f"{reverse('second_factor')}?{urlencode({'next': request.get_full_path()})}")


def _is_asked_by(request: HttpRequest, view: Callable[..., Any]) -> bool:
    """Return whether the user may see a page and needs the second factor for it."""
    match = request.resolver_match
    if match is not None and match.app_name == "admin":
        return match.url_name not in OF_LOG_IN and _needs_it_in_admin(request.user)
    permissions = getattr(view, "permissions", ())
    if not any(is_asked(each) for each in permissions) or not request.user.is_staff:
        return False
    held = [each for each in permissions if request.user.has_perm(each)]
    # Where one of them opens the page without the second factor, it is not asked for.
    return bool(held) and all(is_asked(each) for each in held)


def _needs_it_in_admin(user: Any) -> bool:
    """Return whether a user could do something in the admin that needs the second factor."""
    if not user.is_staff:
        return False
    return settings.STAFF_SECOND_FACTOR == Mode.STAFF or bool(_protected & user.get_all_permissions())
