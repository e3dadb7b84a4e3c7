"""Same origin, compared with scheme and port."""

import re

from django.conf import settings
from django.http.request import split_domain_port, validate_host

_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)", re.IGNORECASE)
_PORTS = {"http": "80", "https": "443"}


def same_origin(headers: dict[bytes, bytes]) -> bool:
    """Will say whether the Origin header names this very site, which must be one that we serve.

    The site is `scheme://host[:port]` of the request; the scheme is told by Caddy, in X-Forwarded-Proto.
    """
    origin = _ORIGIN.fullmatch(headers.get(b"origin", b"").decode("latin1"))
    if origin is None:
        return False
    scheme = "https" if headers.get(b"x-forwarded-proto") == b"https" else "http"
    site = _address(scheme, headers.get(b"host", b"").decode("latin1"))
    served = bool(site[1]) and validate_host(site[1], settings.ALLOWED_HOSTS)
    return served and _address(origin[1].lower(), origin[2]) == site


def _address(scheme: str, host: str) -> tuple[str, str, str]:
    domain, port = split_domain_port(host)  # both empty when it is no host
    return scheme, domain, port or _PORTS[scheme]
