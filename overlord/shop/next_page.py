"""Where a form leads when it is done: the page that `next` names, if that is one to go to."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.views import RedirectURLMixin
from django.urls import Resolver404, resolve, reverse

from overlord.shop.permissions import may_open
from overlord.shop.request_checks import allowed_methods

# To come from a log-in to the log-in, or to be logged out at once, helps nobody.
NOT_AFTERWARDS = {"login", "logout", "signup"}
# The first of them that somebody may see is where their work begins.
STAFF_PAGES = ("office", "door", "monitor")


def is_page(address: str, *, but: Collection[str] = NOT_AFTERWARDS) -> bool:
    """Return whether a GET of this address of ours shows something, and it is none of these pages."""
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
    """Return where a log-in leads that no page asked for: staff to their work, buyers to the events."""
    return reverse(next((page for page in STAFF_PAGES if may_open(user, page)), "home"))


class NextPageMixin(RedirectURLMixin):
    """Leads Django's views of accounts to `next` only when that is a page of this site."""

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs know an older Django
        address = super().get_redirect_url()
        return address if address and is_page(address) else ""
