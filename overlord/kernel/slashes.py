"""Serve every path with and without its trailing slash."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import is_valid_path


class TrailingSlashMiddleware:
    """Routes `/event/events` as `/event/events/`, for every method. A redirect would lose the body of a POST.

    If the last part of a path has a dot, as in a file's name, a route without the slash is preferred.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info.removesuffix("/")
        is_file = "." in path.rpartition("/")[2] and is_valid_path(path)
        request.path_info = path if is_file else path + "/"
        return self.get_response(request)
