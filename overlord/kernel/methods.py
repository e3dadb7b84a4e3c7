"""The HTTP methods that a page accepts."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

View = Callable[..., HttpResponseBase]


def allow(*methods: str) -> Callable[[View], View]:
    """Return a decorator for a view that accepts only these methods. Any other method gets a 405.

    GET allows HEAD too. Place the decorator above all others: `shop/request_checks.py` reads the view's
    `allowed_methods` before other middleware looks at the request.
    """
    allowed = (*methods, "HEAD") if "GET" in methods else methods

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            return view(request, *args, **kwargs)

        guarded.allowed_methods = allowed  # type: ignore[attr-defined]
        return guarded

    return decorate
