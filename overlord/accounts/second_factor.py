"""The second factor of staff: which actions need it, and whether a session or token has shown it.

The middleware checks the second factor for pages and the admin, `StaffPermission` for the API, and
`realtime/gateway/access.py` for sockets. In the mode MONEY, an action needs the second factor if its app has called
`protect` with the action's permission. For example, `checkout/apps.py` does so for refunds.

A session contains the time at which its user showed the second factor. A token has shown the second factor if the
user showed it at the log-in that made the token, and has not set up another one since.

Runs in the threads of web processes, and in pool threads of the live process.
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

# The key in a session. Its value is [when the factor was made, when its code was shown], as Unix times.
IN_SESSION = "second_factor"
LASTS = timedelta(hours=12)
WITHOUT_FACTOR = {"login", "logout", "jsi18n"}  # names of the admin's pages that never need the second factor


class Mode(StrEnum):
    """The values of STAFF_SECOND_FACTOR. OFF: no action needs a second factor. MONEY: protected actions need one.

    STAFF: all actions of staff need one.
    """

    OFF = "off"
    MONEY = "money"
    STAFF = "staff"


_protected: set[str] = set()


def protect(permissions: Iterable[str]) -> None:
    """Let actions with these permissions need the second factor. An app calls this when it is loaded."""
    _protected.update(permissions)


def is_asked(permission: str) -> bool:
    """Return whether an action with this permission also needs the second factor."""
    mode = settings.STAFF_SECOND_FACTOR
    return bool(mode == Mode.STAFF or (mode == Mode.MONEY and permission in _protected))


def is_on() -> bool:
    """Return whether any action needs a second factor."""
    return bool(settings.STAFF_SECOND_FACTOR != Mode.OFF)


def remember(session: SessionBase, *, factor: SecondFactor, now: datetime) -> None:
    """Record in a session that it has shown the second factor.

    The session gets a new key. The old key, which somebody may have copied, opens nothing any more.
    """
    session.cycle_key()
    session[IN_SESSION] = [factor.made_at.timestamp(), now.timestamp()]


def is_shown(session: Any, *, user_id: int, now: datetime) -> bool:
    """Return whether a session has shown the current second factor of its user within the last 12 hours."""
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
    """Return those of the keys whose session or token has shown the second factor.

    `by` is "session" or "token". `keys` are the keys of sessions, or the hashes of tokens.
    """
    if by == "token":
        tokens = ApiToken.objects.filter(key_hash__in=keys, second_factor=True)
        return set(tokens.values_list("key_hash", flat=True))
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=now)
    sessions = {row.session_key: row.get_decoded() for row in rows}
    users = [data[SESSION_KEY] for data in sessions.values() if SESSION_KEY in data]
    factors = {str(each.pk): each for each in SecondFactor.objects.filter(pk__in=users)}
    return {
        key for key, data in sessions.items() if _is_of(data, factors.get(data.get(SESSION_KEY, "")), now)
    }


class SecondFactorMiddleware:
    """Redirect staff to the page that asks for the second factor, when a page needs it.

    API views (`cls`) are left out, because `StaffPermission` checks them.
    """

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
        return match.url_name not in WITHOUT_FACTOR and _needs_it_in_admin(request.user)
    permissions = getattr(view, "permissions", ())
    if not any(is_asked(each) for each in permissions) or not request.user.is_staff:
        return False
    held = [each for each in permissions if request.user.has_perm(each)]
    # Each of these permissions opens the page. If one of them needs no second factor, the page needs none.
    return bool(held) and all(is_asked(each) for each in held)


def _needs_it_in_admin(user: Any) -> bool:
    """Return whether a user could do something in the admin that needs the second factor."""
    if not user.is_staff:
        return False
    return settings.STAFF_SECOND_FACTOR == Mode.STAFF or bool(_protected & user.get_all_permissions())
