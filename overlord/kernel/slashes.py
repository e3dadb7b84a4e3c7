"""Every path is served with and without its trailing slash."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class TrailingSlashMiddleware:
    """Routes `/event/events` as `/event/events/`, for every method. (A redirect would drop the body of a POST.)
    Paths of files keep their form."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if not path.endswith("/") and "." not in path.rpartition("/")[2]:
            request.path_info = path + "/"
        return self.get_response(request)
