"""The settings of production: those of `base`, with more protection."""

from overlord.settings.base import *  # noqa: F403

# A browser accepts a cookie with the prefix __Host- only by TLS, and sends it only to this exact host.
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [rf"^({'|'.join(ASKED_FROM_WITHIN)})/?$"]  # noqa: F405
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# W021: only the owner of the domain should put it on the preload lists of browsers, because it takes months to
# leave them. W003: this check knows only Django's own CSRF middleware, not our subclass (overlord/kernel/csrf.py).
SILENCED_SYSTEM_CHECKS = ["security.W021", "security.W003"]
