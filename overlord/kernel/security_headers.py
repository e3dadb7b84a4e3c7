"""What every answer tells browsers not to do. It runs in the threads of the web processes.

Django's own middleware adds nosniff, the Referrer-Policy, HSTS and X-Frame-Options; pages get their policy from
`overlord.shop.content_security_policy`. Caddy adds the same to its own answers (overlord/embedded/Caddyfile).
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Stripe's form may ask the browser to pay. No page uses any of the others; the door alone uses the camera.
PERMISSIONS = 'camera=(), geolocation=(), microphone=(), payment=(self "https://js.stripe.com"), usb=()'
PERMISSIONS_OF_DOOR = PERMISSIONS.replace("camera=()", "camera=(self)")  # it scans codes
# The policy of answers that are not pages: they load nothing, and nobody frames them.
NOTHING = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeadersMiddleware:
    """Adds the Permissions-Policy, and to answers without a Content-Security-Policy one that allows nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Content-Security-Policy", NOTHING)
        return response
