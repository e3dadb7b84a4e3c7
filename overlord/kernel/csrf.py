"""The protection against cross-site request forgery: it accepts only forms of our own pages.

It runs in the threads of the web processes.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseForbidden
from django.middleware.csrf import CsrfViewMiddleware

from overlord.kernel.origin import is_same_origin

View = Callable[..., HttpResponseBase]


def origin_decides(view: View) -> View:
    """Let a view accept a form without a token if the browser says that the form comes from our own pages.

    Then the page with the form can be the same for every visitor. If the browser does not say where a form comes
    from, the form needs a token.
    """
    view.origin_decides = True  # type: ignore[attr-defined]
    return view


def is_from_our_page(request: HttpRequest) -> bool:
    """Return whether the browser says that one of our own pages sent the request. No page can forge this."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site == "same-origin"
    return origin is not None and is_same_origin(
        origin, scheme=request.scheme or "http", host=request.get_host()
    )


class CsrfMiddleware(CsrfViewMiddleware):
    """Django's middleware, which wants a token from each form. `origin_decides` makes exceptions."""

    def process_view(
        self, request: HttpRequest, callback: Callable[..., Any], callback_args: Any, callback_kwargs: Any
    ) -> HttpResponseForbidden | None:
        if getattr(callback, "origin_decides", False) and is_from_our_page(request):
            self._accept(request)  # type: ignore[attr-defined]
            return None
        return super().process_view(request, callback, callback_args, callback_kwargs)
