"""The network address that a request comes from, as far as limits are concerned."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest


def of_request(request: HttpRequest) -> str:
    """Return the address by which a client counts.

    Each proxy in front of the application adds to X-Forwarded-For the address that it was asked from, so the client
    is the one that the outermost of our own proxies (PROXIES of them) has seen. The client itself wrote the part of
    the header before it, so that part is ignored.
    """
    forwarded = request.headers.get("X-Forwarded-For", "")
    if not settings.PROXIES or not forwarded:
        return network_of(request.META.get("REMOTE_ADDR", ""))
    seen = forwarded.split(",")
    return network_of(seen[-min(settings.PROXIES, len(seen))].strip())


def network_of(address: str) -> str:
    """Return an IPv4 address as it is, and of an IPv6 address its /64 network, in which one person has all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
