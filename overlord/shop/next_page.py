"""The page that follows a form: the one that `next` names, if it is a page of this site that can be shown."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import RedirectURLMixin
from django.urls import Resolver404, resolve, reverse

from overlord.shop.permissions import may_open
from overlord.shop.request_checks import allowed_methods

# After a log-in, none of these is of use: it would ask for a log-in again, or log the user out at once.
NOT_AFTERWARDS = {"login", "logout", "signup"}
# After a log-in, staff are sent to the first of these that they may see.
STAFF_PAGES = ("office", "door", "monitor")


def is_page(address: str, *, but: Collection[str] = NOT_AFTERWARDS) -> bool:
    """Return whether a GET of this address of ours shows a page, other than those in `but`."""
    path = urlsplit(address).path
    try:
        match = resolve(path if path.endswith("/") else f"{path}/")
    except Resolver404:
        return False
    if match.url_name in but:
        return False
    api = getattr(match.func, "cls", None)
    if api is not None:
        return hasattr(api, "get")
    methods = allowed_methods(match.func)
    return methods is None or "GET" in methods


def first_page(user: Any) -> str:
    """Return the page after a log-in without a `next`: a page of staff for staff, the list of events for buyers."""
    return reverse(next((page for page in STAFF_PAGES if may_open(user, page)), "home"))


class NextPageMixin(RedirectURLMixin):
    """Makes Django's views of accounts go to `next` only when that is a page of this site."""

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs know an older Django
        address = super().get_redirect_url()
        return address if address and is_page(address) else ""
