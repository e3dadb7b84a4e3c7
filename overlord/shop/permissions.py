"""Who may see a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase

from overlord.kernel.errors import Forbidden

View = Callable[..., HttpResponseBase]


def staff_only(view: View) -> View:
    """Let staff in, send everyone who is not logged in to the log-in page, and raise Forbidden otherwise."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise Forbidden()
        return view(request, *args, **kwargs)

    return guarded
