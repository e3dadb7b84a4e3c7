"""The network address by which the limits count a request or a socket."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def of_request(request: HttpRequest) -> str:
    """Return the address for the limits of a request; "" if it is unknown."""
    return of_forwarded(request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", ""))


def of_forwarded(forwarded: str, *, peer: str) -> str:
    """Return the address for the limits, from the header X-Forwarded-For and the address `peer` of the connection.

    Each proxy appends to the header the address that connected to this proxy. The last PROXIES proxies are our own.
    So the last PROXIES addresses are true, and the first of these is the client's. Everything before that address
    is ignored, because the client can have written it.
    """
    if not settings.PROXIES or not forwarded:
        return network_of(peer)
    seen = forwarded.split(",")
    return network_of(seen[-min(settings.PROXIES, len(seen))].strip())


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and of an IPv6 address its /64 network; "" for any other text.

    Usually one person has a whole /64 network.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
