"""Headers of every answer that tell browsers what they must not do. Runs in the threads of the web processes.

Django's own middleware adds nosniff, the Referrer-Policy, HSTS and X-Frame-Options. Pages get their
Content-Security-Policy from `overlord.shop.content_security_policy`. Caddy adds these headers to its own answers,
but no Permissions-Policy (overlord/embedded/Caddyfile).
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Stripe's form is allowed to use the browser's own way to pay. No page uses the other features, except for the
# door, which uses the camera to scan codes.
PERMISSIONS = 'camera=(), geolocation=(), microphone=(), payment=(self "https://js.stripe.com"), usb=()'
PERMISSIONS_OF_DOOR = PERMISSIONS.replace("camera=()", "camera=(self)")
# The policy of answers that are not pages: they load nothing, and no page may show them in a frame.
NOTHING = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeadersMiddleware:
    """Adds PERMISSIONS, and a Content-Security-Policy that allows nothing, to answers that lack these headers."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Content-Security-Policy", NOTHING)
        return response
