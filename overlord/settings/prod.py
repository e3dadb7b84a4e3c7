"""Production's settings: those of `base`, hardened."""

from overlord.settings.base import *  # noqa: F403

# A browser takes a cookie with this prefix by TLS alone, from this very host, for all its paths.
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^(livez|readyz|readyz/self)/?$"]  # asked from within, past Caddy
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
# Whether to join the browsers' preload lists is the domain owner's choice: leaving them takes months.
# The check for CSRF looks for Django's own class and not for ours, which is one (overlord/kernel/csrf.py).
SILENCED_SYSTEM_CHECKS = ["security.W021", "security.W003"]
