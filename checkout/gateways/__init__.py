"""Who takes the money. One small Protocol, and one module for each gateway that implements it."""

from typing import Protocol

from checkout.rules import Charge


class GatewayUnknown(Exception):
    """Nobody can say whether the gateway did what it was asked: a time-out, a 5xx, a lost connection.

    It is never a refusal: the buyer may have been charged. Ask again, by the same key or by `retrieve`.
    """


class Gateway(Protocol):
    """What we ask of a gateway. Every method may raise GatewayUnknown; amounts are in minor units.

    `key` names an operation: repeated with the same key and arguments, it happens once.
    """

    def create_intent(self, *, key: str, amount: int, currency: str, payment_id: int) -> str:
        """Will announce a charge and give the gateway's name for it. Nobody is charged yet."""

    def confirm(self, *, key: str, intent: str, token: str) -> Charge:
        """Will charge an intent to what the token stands for."""

    def retrieve(self, *, intent: str) -> Charge | None:
        """Will ask what became of an intent; None while nothing final has."""


def named(name: str) -> Gateway:
    """Will give the gateway of that name; raises KeyError."""
    from checkout.gateways.sandbox import SandboxGateway

    return {"sandbox": SandboxGateway}[name]()
