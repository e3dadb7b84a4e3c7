"""The methods of a payment gateway, and the keys that name our calls."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from checkout.rules import Charge, Refunded

CALL_SECONDS = 17.0  # that one call takes at most, by the time-outs of the gateway's client


def new_nonce() -> str:
    """Return the random part of a try's keys."""
    return secrets.token_hex(8)


def gateway_key(operation: str, *, of: int, try_number: int, nonce: str) -> str:
    """Return the key that names an operation at the gateway: the same try has the same key, and happens once.

    The nonce keeps tries apart whose row has the same id, as after the restore of a backup: the gateway remembers
    the keys of rows that are lost. It is empty for a try from before there were nonces.
    """
    return ":".join((operation, str(of), str(try_number), *([nonce] if nonce else [])))


class GatewayUnknown(Exception):
    """It is unknown whether the gateway did what it was asked: a time-out, a 5xx, a lost connection.

    This is never a refusal: the buyer may have been charged. Ask again, with the same key or by `retrieve`.
    """


class GatewayRefused(Exception):
    """The gateway refuses, now and later. Nobody was charged by this call."""


class ForgedWebhook(Exception):
    """A message that the gateway did not sign, or signed too long ago."""


@dataclass(frozen=True, kw_only=True)
class News:
    """A message that an intent or a refund has changed. It is not trusted: a worker asks the gateway what is so."""

    event_id: str
    intent: str | None  # None: the message is about something else
    refund: str | None = None  # the gateway's name for the refund that has changed, if one has


@dataclass(frozen=True, kw_only=True)
class ListedRefund:
    """A refund in the gateway's own list, by its name and that of its charge."""

    intent: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class ListedCharge:
    """A charge of this shop in the gateway's own list. `payment_id` is the one that it was made for."""

    intent: str
    payment_id: int
    charged_minor: int
    refunded_minor: int
    currency: str
    created: datetime


class Gateway(Protocol):
    """One class implements it for each gateway.

    Every method but `parse_webhook` may raise GatewayUnknown. `key` names an operation: repeated with the same
    key and arguments, it happens once. A gateway may forget keys after a day. Many threads call at once, and
    nothing ends a call from outside: each returns or raises within CALL_SECONDS.
    """

    def create_intent(
        self, *, key: str, amount_minor: int, currency: str, payment_id: int, token: str
    ) -> str:
        """Prepare a charge to the card of the token, and return the gateway's name for it.

        Nobody is charged yet. Raises GatewayRefused.
        """

    def confirm(self, *, key: str, intent: str) -> Charge:
        """Charge an intent."""

    def retrieve(self, *, intent: str) -> Charge:
        """Return what the gateway says of an intent."""

    def cancel(self, *, key: str, intent: str) -> None:
        """Prevent an intent from being charged, unless it has been. `retrieve` says which."""

    def refund(self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int) -> Refunded:
        """Refund part or all of a charge, in its currency.

        A repeated call returns the first answer, also when the refund has changed since.
        """

    def refund_retrieve(self, *, reference: str) -> Refunded:
        """Return what the gateway says of a refund."""

    def refund_find(
        self, *, key: str, intent: str, amount_minor: int, currency: str, refund_id: int
    ) -> Refunded | None:
        """Return the refund that `refund` started with these arguments, however long ago; None if there is none."""

    def refunds_failed(self, *, since: datetime) -> Iterator[ListedRefund]:
        """Yield the refunds made since then that failed, of other shops too. Asks the gateway several times.

        A refund may fail weeks after it has succeeded, when the bank does not take the money.
        """

    def charges(self, *, since: datetime) -> Iterator[ListedCharge]:
        """Yield what this shop has charged since then. Asks the gateway several times."""

    def parse_webhook(self, *, body: bytes, headers: Mapping[str, str]) -> News:
        """Return what a signed message says; raise ForgedWebhook."""
