"""Read, set and delete the cookie of a session. This runs in the threads of the web processes."""

import re

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

_KEY = re.compile("[0-9a-z]{32}")  # as Django makes them; PostgreSQL takes no NUL, which a cookie can contain
SAFE = {"GET", "HEAD", "OPTIONS"}


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's middleware, but it looks up only possible keys, and a request that only reads deletes no cookie.

    A log-in gives the browser a new session, and ends the old one. At this moment an open page of the same browser
    can fetch something with the old cookie. Django's answer to that page would delete the cookie. If this answer
    arrived after the answer to the log-in, the browser would lose the new session.
    """

    def process_request(self, request: HttpRequest) -> None:
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        request.session = self.SessionStore(key if _KEY.fullmatch(key) else None)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        is_over = settings.SESSION_COOKIE_NAME in request.COOKIES and request.session.is_empty()
        if is_over and request.method in SAFE:
            patch_vary_headers(response, ("Cookie",))
            return response
        return super().process_response(request, response)
