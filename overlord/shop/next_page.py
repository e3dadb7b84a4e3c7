"""The page to which a form redirects: its address is the parameter `next`. It must be a page of this site."""

from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth.views import RedirectURLMixin
from django.urls import Resolver404, resolve, reverse

from overlord.shop.permissions import may_open
from overlord.shop.request_checks import allowed_methods

# Pages to which no log-in redirects. They would ask for a log-in again, or log the user out.
NOT_AFTERWARDS = {"login", "logout", "signup"}
# After a log-in without `next`, staff are redirected to the first of these pages that they may see.
STAFF_PAGES = ("office", "door", "monitor")
# If a parameter of a page's address begins with one of these, it contains what a buyer has chosen there.
CHOSEN = ("amount", "ticket_type", "card")


def is_page(address: str, *, but: Collection[str] = NOT_AFTERWARDS) -> bool:
    """Return whether this address of our site accepts a GET, and its page is not in `but` (names of routes)."""
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


def has_selection(address: str) -> bool:
    """Return whether the page at this address of our site shows tickets that a buyer has selected or reserved."""
    parts = urlsplit(address)
    return any(name.startswith(CHOSEN) for name in parse_qs(parts.query)) or _is_checkout(parts.path)


def _is_checkout(path: str) -> bool:
    try:
        return resolve(path).url_name == "checkout"
    except Resolver404:
        return False


def first_page(user: Any) -> str:
    """Return the address after a log-in without `next`: for staff one of STAFF_PAGES, else the list of events."""
    return reverse(next((page for page in STAFF_PAGES if may_open(user, page)), "home"))


class NextPageMixin(RedirectURLMixin):
    """Let Django's views of accounts redirect to `next` only if it is a page of this site."""

    def get_redirect_url(self) -> str:  # type: ignore[override]  # the stubs know an older Django
        address = super().get_redirect_url()
        return address if address and is_page(address) else ""
