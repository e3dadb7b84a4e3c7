"""The Content-Security-Policy, on pages alone."""

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase


class PagePolicyMiddleware(CSPMiddleware):
    """Leaves alone what is no page: JSON runs no script, and writing the policy costs a tenth of an API answer."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
