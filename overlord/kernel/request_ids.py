"""Give each request an id, which is in all log lines that are written for the request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from overlord.kernel import steps

SAFE = {"GET", "HEAD", "OPTIONS"}
HEADER = "X-Request-Id"


class RequestIdMiddleware:
    """Adds the id to the answers of requests that may change something, and to answers with a 5xx status.

    Other answers may be shared by many requests, so they have no id.
    """

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
