"""The Content-Security-Policy, for pages only."""

from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase


class PagePolicyMiddleware(CSPMiddleware):
    """Add the policy to HTML only: JSON runs no script, and writing the policy costs time on every API answer."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
