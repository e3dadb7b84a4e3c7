"""Compare the gateway's own list of charges with our payments.

A charge without a payment belongs to a row that was lost: by the restore of a backup, or by a fail-over to a server
that lacked the last transactions. A payment's row names its intent before the intent is charged, and the list is
read before the rows. So a charge that is just being made is never taken for one without a payment.
"""

import logging
from collections.abc import Collection, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from checkout import gateways, operations, selectors
from checkout.gateways import GatewayUnknown
from checkout.gateways.protocol import ListedCharge
from checkout.models import UnmatchedCharge
from checkout.rules import Refunded, RefundOutcome
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.queues import enqueue

logger = logging.getLogger(__name__)

BATCH = 500


def charges_reconcile(*, gateway: str, since: datetime) -> int:
    """Record the gateway's charges since `since` that have no payment, and return how many of them are new.

    Raise GatewayUnknown if the gateway cannot be asked.
    """
    new = 0
    for batch in _batches(gateways.named(gateway).charges(since=since)):
        new += _compare(gateway, batch)
    return new


def unmatched_charges_refund_request(*, staff_id: int, ids: Collection[int]) -> None:
    """Hand charges without a payment to the payments worker, to be paid back.

    If a message is lost, its charge stays open. It is safe to ask again.
    """
    for charge_id in ids:
        enqueue("checkout.unmatched_charge_refund", charge_id=charge_id, staff_id=staff_id)


def unmatched_charge_refund(*, staff_id: int | None, charge_id: int) -> RefundOutcome:
    """Pay back a charge without a payment and return the outcome; raise NotFound unless it is open.

    `staff_id` is None for a command. Only a refund that the gateway has accepted closes the charge. A repetition is
    safe: see `_charge_pay_back`.
    """
    with db.transaction():
        charge = operations.unmatched_charge_lock(charge_id=charge_id)
    try:
        answer = _charge_pay_back(charge)
    except GatewayUnknown as doubt:
        logger.warning("The refund of %s is in doubt: %s", charge, doubt)
        return RefundOutcome.PENDING
    if answer.outcome != RefundOutcome.FAILED and answer.reference:
        with db.transaction():
            now = db.now()
            if operations.unmatched_charge_paid_back(charge_id=charge.pk, refund=answer.reference, now=now):
                names = [charge.gateway_reference]
                _charges_journal(staff_id, Action.CHARGE_PAID_BACK, names, now=now)
    return answer.outcome


def _charge_pay_back(charge: UnmatchedCharge) -> Refunded:
    """Return the refund of a charge without a payment; ask for a refund if there is none. Raise GatewayUnknown.

    The refund is searched for first, because the gateway may forget a key after a day. If it has failed, another
    one is asked for, whose key names the failed one.
    """
    gateway = gateways.named(charge.gateway)
    key = f"unmatched:{charge.gateway_reference}"
    while True:
        asked: dict[str, Any] = {
            "key": key,
            "intent": charge.gateway_reference,
            "amount_minor": charge.amount_minor,
            "currency": charge.currency,
            "refund_id": 0,  # our tables have no row for this refund
        }
        found = gateway.refund_find(**asked)
        if found is None:
            return gateway.refund(**asked)
        if found.outcome != RefundOutcome.FAILED:
            return found
        key = f"{key}:{found.reference}"


def unmatched_charges_close(*, staff_id: int, ids: Collection[int]) -> int:
    """Close charges without a payment that staff dealt with elsewhere, and return how many."""
    with db.transaction():
        now = db.now()
        names = operations.unmatched_charges_close(ids=ids, now=now)
        _charges_journal(staff_id, Action.CHARGE_CLOSED, names, now=now)
        return len(names)


def _charges_journal(staff_id: int | None, action: Action, names: Collection[str], *, now: datetime) -> None:
    for name in names:
        journal.entry_add(actor_id=staff_id, action=action, now=now, charge=name)


def _compare(gateway: str, charges: Collection[ListedCharge]) -> int:
    matched = selectors.charged_references(gateway=gateway, references=[each.intent for each in charges])
    new = 0
    with db.transaction():
        now = db.now()
        for charge in charges:
            left_minor = charge.charged_minor - charge.refunded_minor
            if charge.intent not in matched and left_minor > 0:
                new += operations.unmatched_charge_open(
                    gateway=gateway, charge=charge, left_minor=left_minor, now=now
                )
    return new


def _batches(charges: Iterator[ListedCharge]) -> Iterator[list[ListedCharge]]:
    """Yield the charges in groups. No transaction is open while the gateway is asked for more."""
    while batch := list(islice(charges, BATCH)):
        yield batch
