"""The Content-Security-Policy of pages. The middleware runs in the threads of the web processes."""

import base64
import hashlib
from functools import cache

from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

from overlord.shop import modules


class PagePolicyMiddleware(CSPMiddleware):
    """Add the policy to HTML only. Other answers, such as JSON, run no script, and writing the policy costs time.

    The only script inside a page is the import map. The policy allows it by its hash and not by a nonce, so that a
    page can be the same for everybody.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not response.headers.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if not report_only:
            update = dict(parts.update or {})
            update["script-src"] = [*update.get("script-src", []), _source(modules.import_map())]
            parts.update = update
        return parts


@cache
def _source(script: str) -> str:
    """Return the text by which a policy allows a script inside a page: its hash."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
