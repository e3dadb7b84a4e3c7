"""The methods that each payment gateway has, what they return and raise, and the keys that name our calls."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from checkout.rules import Charge, Refunded

CALL_SECONDS = 17.0  # the longest that a call takes, by the time-outs of the gateway's client


def new_nonce() -> str:
    """Return the random part of a try's keys."""
    return secrets.token_hex(8)


def gateway_key(operation: str, *, of: int, try_number: int, nonce: str) -> str:
    """Return the key that names an operation at the gateway. `of` is the id of the payment or refund.

    The same try has the same key, so that the gateway does the operation once. After a backup is restored, a new
    row can get the id of a lost row, whose keys the gateway still knows. Because of the nonce, the new keys differ.
    The nonce is empty for tries from a time when this project had no nonces.
    """
    return ":".join((operation, str(of), str(try_number), *([nonce] if nonce else [])))


class GatewayUnknown(Exception):
    """Nobody knows whether the gateway did what it was asked: there was a time-out, a 5xx or a lost connection.

    Never take this for a refusal: the buyer may have been charged. Ask again, with the same key or by `retrieve`.
    """


class GatewayRefused(Exception):
    """The gateway refuses the call, and would refuse the same call again. The call charged nobody."""


class ForgedWebhook(Exception):
    """A message that the gateway did not sign, or signed too long ago."""


@dataclass(frozen=True, kw_only=True)
class News:
    """A gateway's message: an intent or a refund has changed. It is only a hint; a worker asks for the state."""

    event_id: str
    intent: str | None  # None if the message is about something else
    refund: str | None = None  # the gateway's name for the refund, if a refund has changed


@dataclass(frozen=True, kw_only=True)
class ListedRefund:
    """A refund in the gateway's own list: the gateway's names for its intent and for the refund."""

    intent: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class ListedCharge:
    """A charge of this shop in the gateway's own list. `payment_id` is the payment for which it was made."""

    intent: str
    payment_id: int
    charged_minor: int
    refunded_minor: int
    currency: str
    created: datetime


class Gateway(Protocol):
    """The methods of a gateway. Each gateway has one class that implements them.

    Every method but `parse_webhook` may raise GatewayUnknown. `key` names an operation: if calls have the same key
    and the same arguments, only the first one acts. A gateway may forget keys after a day. Many threads call at the
    same time. No caller ends a call that takes too long, so each call must return or raise within CALL_SECONDS.
    """

    def create_intent(
        self, *, key: str, amount_minor: int, currency: str, payment_id: int, token: str
    ) -> str:
        """Prepare a charge to the card of the token, and return the gateway's name for it.

        Nobody is charged yet. Raise GatewayRefused if the gateway does not take the card or the amount.
        """

    def confirm(self, *, key: str, intent: str) -> Charge:
        """Charge an intent, and return its state afterwards, also if the card was declined."""

    def retrieve(self, *, intent: str) -> Charge:
        """Return the state of an intent at the gateway."""

    def cancel(self, *, key: str, intent: str) -> None:
        """Make sure that an intent is not charged later. If it is already charged, do nothing and raise nothing."""

    def refund(self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int) -> Refunded:
        """Refund part or all of a charge, in its currency.

        If the gateway refuses, return the outcome FAILED. A call with the same key returns the first answer again,
        even if the refund has changed since.
        """

    def refund_retrieve(self, *, reference: str) -> Refunded:
        """Return the state of a refund at the gateway."""

    def refund_find(
        self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int
    ) -> Refunded | None:
        """Return the refund that a call of `refund` with these arguments has started, however long ago, or None."""

    def refunds_failed(self, *, since: datetime) -> Iterator[ListedRefund]:
        """Yield the failed refunds that were made since `since`, also those of other shops in the same account.

        The iterator makes a call for each page of the list. A refund may fail weeks after it has succeeded, if the
        bank does not take the money.
        """

    def charges(self, *, since: datetime) -> Iterator[ListedCharge]:
        """Yield the charges of this shop since `since`. The iterator makes a call for each page of the list."""

    def parse_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> News:
        """Return what a signed message is about; raise ForgedWebhook."""
