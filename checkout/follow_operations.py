"""The steps that give the payments of a guest's order to an account, inside an open transaction."""

from django.db.models import F, QuerySet

from checkout import rules
from checkout.models import Payment
from overlord.kernel import db
from overlord.kernel.errors import Busy


def payments_follow(*, order_id: int, guest_id: int, buyer_id: int) -> None:
    """Give the payments of a guest's order to an account, except those that have charged.

    The outcome of a payment in flight belongs to the account, as the tickets do. So does late money.
    """
    db.transaction_required()
    _payments_to_follow(order_id, guest_id).update(buyer_id=buyer_id, version=F("version") + 1)


def check_payments_followed(*, order_id: int, guest_id: int) -> None:
    """Raise Busy if the guest made a payment of a locked order after `payments_follow` had looked.

    Payments are locked before their order, so such a payment can follow only when the caller begins again.
    """
    db.transaction_required()
    if _payments_to_follow(order_id, guest_id).exists():
        raise Busy()


def _payments_to_follow(order_id: int, guest_id: int) -> QuerySet[Payment]:
    made = Payment.objects.filter(reservation_id=order_id, buyer_id=guest_id)
    return made.exclude(status__in=rules.CHARGED)
