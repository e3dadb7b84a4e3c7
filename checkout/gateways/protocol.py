"""What we ask of whoever takes the money."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from checkout.rules import Charge, Refunded


class GatewayUnknown(Exception):
    """Nobody can say whether the gateway did what it was asked: a time-out, a 5xx, a lost connection.

    It is never a refusal: the buyer may have been charged. Ask again, by the same key or by `retrieve`.
    """


class GatewayRefused(Exception):
    """The gateway understood and will not do it, now or later. Nobody was charged by this."""


class ForgedWebhook(Exception):
    """A message that the gateway did not sign, or signed too long ago."""


@dataclass(frozen=True, kw_only=True)
class News:
    """That something happened to an intent. What happened is asked of the gateway, never read here."""

    event_id: str
    intent: str | None  # None: it is about something that does not concern us


class Gateway(Protocol):
    """Implemented once for each gateway.

    Every method but `parse_webhook` may raise GatewayUnknown. `key` names an operation: repeated with the same
    key and arguments, it happens once.
    """

    def create_intent(
        self, *, key: str, amount_minor: int, currency: str, payment_id: int, token: str
    ) -> str:
        """Will announce a charge to what the token stands for, and give the gateway's name for it. Nobody is
        charged yet. Raises GatewayRefused."""

    def confirm(self, *, key: str, intent: str) -> Charge:
        """Will charge an intent."""

    def retrieve(self, *, intent: str) -> Charge:
        """Will ask what became of an intent."""

    def cancel(self, *, key: str, intent: str) -> None:
        """Will see to it that an intent is not charged any more, if it has not been. `retrieve` then says."""

    def refund(self, *, key: str, intent: str, amount_minor: int, refund_id: int) -> Refunded:
        """Will pay part or all of a charge back."""

    def parse_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> News:
        """Will read signed news; raises ForgedWebhook."""
