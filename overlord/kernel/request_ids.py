"""Gives each request an id, which all lines about it in the logs have."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from overlord.kernel import steps

SAFE = {"GET", "HEAD", "OPTIONS"}
HEADER = "X-Request-Id"


class RequestIdMiddleware:
    """Names the id in the answer to what changes something, or that failed. Others may be shared answers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = steps.request_begin()
        try:
            response = self.get_response(request)
        finally:
            steps.request_end()
        if request.method not in SAFE or response.status_code >= 500:
            response[HEADER] = request_id
        return response
