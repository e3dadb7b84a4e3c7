"""Who may see a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponseBase

from overlord.kernel.errors import Forbidden

View = Callable[..., HttpResponseBase]


def staff_only(view: View) -> View:
    """Will let staff in, send a stranger to log in, and raise Forbidden for anyone else."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise Forbidden()
        return view(request, *args, **kwargs)

    return guarded
