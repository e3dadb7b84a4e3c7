"""Check whether a user may see a page. Other users get the log-in page, the checkout or an error."""

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


SUPERUSER = "superuser"  # used instead of a permission for pages that only superusers may see


def action_of_checkout(view: View) -> View:
    """Return a view that answers only a POST of a logged-in buyer. Other requests are redirected to the checkout.

    A buyer whose session has ended logs in first. With the sandbox gateway, the checkout then shows the test card
    that the buyer had chosen: the parameter `card` contains it.
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
    """Return a decorator: only staff who have one of these permissions see the page. See `_guard`."""
    return _guard(lambda user: _has_one(user, permissions), permissions)


def superusers_only(view: View) -> View:
    """Return a view that only superusers see. See `_guard`."""
    return _guard(lambda user: user.is_superuser, (SUPERUSER,))(view)


def may_open(user: Any, page: str) -> bool:
    """Return whether a user may see a page of staff; `page` is the name of its route."""
    return _has_one(user, _permissions_of(page))


def _has_one(user: Any, permissions: tuple[str, ...]) -> bool:
    return user.is_staff and any(user.has_perm(each) for each in permissions)


@lru_cache
def _permissions_of(page: str) -> tuple[str, ...]:
    found: tuple[str, ...] = resolve(reverse(page)).func.permissions  # type: ignore[attr-defined]
    return found


def _guard(is_allowed: Callable[[Any], bool], permissions: tuple[str, ...]) -> Callable[[View], View]:
    """Return a decorator: only users for whom `is_allowed` is true see the page.

    Visitors who are not logged in are redirected to the log-in page. Logged-in users who are not allowed get
    Forbidden. The view gets the attribute `permissions`, which `may_open` reads.
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
