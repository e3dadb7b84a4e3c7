"""The network address that a request or a socket comes from, as far as limits are concerned."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def of_request(request: HttpRequest) -> str:
    """Return the address by which the client of a request counts."""
    return of_forwarded(request.headers.get("X-Forwarded-For", ""), peer=request.META.get("REMOTE_ADDR", ""))


def of_forwarded(forwarded: str, *, peer: str) -> str:
    """Return the address by which a client counts, from X-Forwarded-For and from who connected to us.

    Each proxy in front of the application appends to X-Forwarded-For the address of who connected to it. PROXIES of
    these proxies are our own, so the last PROXIES addresses are true, and the first of them is the client's. The
    client may have written the part of the header before it, so that part is ignored.
    """
    if not settings.PROXIES or not forwarded:
        return network_of(peer)
    seen = forwarded.split(",")
    return network_of(seen[-min(settings.PROXIES, len(seen))].strip())


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and for an IPv6 address its /64 network, which one person has as a whole."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
