"""The checks of who may see a page, and what others get: the log-in page, the checkout or an error."""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache, wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import resolve, reverse

from overlord.kernel.errors import Forbidden

View = Callable[..., HttpResponseBase]


class Permission(StrEnum):
    """The permissions of staff for the whole shop, as Django names them."""

    MANAGE_LOOK = "shop.manage_look"


SUPERUSER = "superuser"  # used instead of a permission where only superusers are let in


def action_of_checkout(view: View) -> View:
    """Let only a POST of a logged-in buyer do an action of a checkout page, and send other requests to that page.

    A buyer whose session has ended logs in first, and then finds the chosen card there: `card` names one of the
    demo's list, and is used only in the demo.
    """

    @wraps(view)
    def guarded(request: HttpRequest, reservation_id: int) -> HttpResponseBase:
        checkout = reverse("checkout", args=[reservation_id])
        if request.method == "POST" and not request.user.is_authenticated:
            card = request.POST.get("token", "") if settings.PAYMENT_GATEWAY == "sandbox" else ""
            return redirect_to_login(f"{checkout}?{urlencode({'card': card})}" if card else checkout)
        if request.method != "POST":
            return redirect(checkout)
        return view(request, reservation_id)

    return guarded


def staff_with(*permissions: str) -> Callable[[View], View]:
    """Let in only staff who have one of these permissions. `_guard` says what others get."""
    return _guard(lambda user: _has_one(user, permissions), permissions)


def superusers_only(view: View) -> View:
    """Let in only superusers. `_guard` says what others get."""
    return _guard(lambda user: user.is_superuser, (SUPERUSER,))(view)


def may_open(user: Any, page: str) -> bool:
    """Return whether a user may see the page for staff whose route has this name."""
    return _has_one(user, _permissions_of(page))


def _has_one(user: Any, permissions: tuple[str, ...]) -> bool:
    return user.is_staff and any(user.has_perm(each) for each in permissions)


@lru_cache
def _permissions_of(page: str) -> tuple[str, ...]:
    found: tuple[str, ...] = resolve(reverse(page)).func.permissions  # type: ignore[attr-defined]
    return found


def _guard(is_allowed: Callable[[Any], bool], permissions: tuple[str, ...]) -> Callable[[View], View]:
    """Send everyone who is not logged in to the log-in page, and raise Forbidden for those who are not allowed.

    The guarded view keeps `permissions` as an attribute, from which `may_open` reads them.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not is_allowed(request.user):
                raise Forbidden()
            return view(request, *args, **kwargs)

        guarded.permissions = permissions  # type: ignore[attr-defined]
        return guarded

    return decorate
