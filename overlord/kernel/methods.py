"""The HTTP methods that a page accepts."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

View = Callable[..., HttpResponseBase]


def allow(*methods: str) -> Callable[[View], View]:
    """Return a decorator: a view then answers these methods, HEAD too if GET is among them, and others with 405.

    Place it above all other decorators. `shop/request_checks.py` reads the view's `allowed_methods` before other
    middleware looks at the request.
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
