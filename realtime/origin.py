"""Same origin, told from the headers of a socket's handshake."""

import re

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from overlord.kernel.origin import is_same_origin

_ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)  # nothing else is an origin, whatever it names


def same_origin(headers: dict[bytes, bytes]) -> bool:
    """Will say whether the Origin header names this very site, which must be one that we serve.

    The site is `scheme://host[:port]` of the request; the scheme is told by Caddy, in X-Forwarded-Proto.
    """
    origin, host = (headers.get(name, b"").decode("latin1") for name in (b"origin", b"host"))
    scheme = "https" if headers.get(b"x-forwarded-proto") == b"https" else "http"
    domain, _ = split_domain_port(host)  # empty when it is no host
    served = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    return (
        served and _ORIGIN.fullmatch(origin) is not None and is_same_origin(origin, scheme=scheme, host=host)
    )
