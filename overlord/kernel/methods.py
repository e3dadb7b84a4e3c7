"""Which methods a page takes."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed

View = Callable[..., HttpResponseBase]


def allow(*methods: str) -> Callable[[View], View]:
    """Let a view answer these methods, and HEAD if GET is among them; place it above all other decorators.

    `request_checks` reads the view's `allowed_methods`, before other middleware looks at the request.
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
