"""Payment gateways: one Protocol, and one module for each gateway that implements it."""

from functools import lru_cache

from django.utils.module_loading import import_string

from checkout.gateways.protocol import (
    CALL_SECONDS,
    ForgedWebhook,
    Gateway,
    GatewayRefused,
    GatewayUnknown,
    News,
)

__all__ = [
    "CALL_SECONDS",
    "ForgedWebhook",
    "Gateway",
    "GatewayRefused",
    "GatewayUnknown",
    "News",
    "known",
    "named",
]

# Paths instead of classes, so that a gateway's library is imported only where it is used.
_CLASSES = {
    "sandbox": "checkout.gateways.sandbox.SandboxGateway",
    "stripe": "checkout.gateways.stripe.StripeGateway",
}


def known(name: str) -> bool:
    """Return whether there is a gateway of that name."""
    return name in _CLASSES


@lru_cache(maxsize=4)
def named(name: str) -> Gateway:
    """Return the gateway of that name; raise KeyError if there is none."""
    gateway: Gateway = import_string(_CLASSES[name])()
    return gateway
