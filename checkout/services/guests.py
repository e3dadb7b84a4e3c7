"""Give the unpaid orders of a guest to the account to which the guest logs in."""

from contextlib import suppress

from checkout import follow_operations
from checkout.services.payments import person_limit_errors
from overlord.kernel import db
from overlord.kernel.errors import Busy, DomainError, NotFound
from tickets import follow_operations as tickets
from tickets import selectors
from tickets.line import operations as line


def orders_follow(*, guest_id: int, buyer_id: int) -> None:
    """Give each unpaid order of a guest to the account to which the guest logs in.

    An order that cannot follow stays with the guest: see `order_follow`.
    """
    for order_id in selectors.orders_live(buyer_id=guest_id):
        parties = {"guest_id": guest_id, "buyer_id": buyer_id}
        with suppress(DomainError):
            try:
                order_follow(reservation_id=order_id, **parties)
            except Busy:  # the guest has just made a payment; the second call sees this payment
                order_follow(reservation_id=order_id, **parties)


def order_follow(*, guest_id: int, buyer_id: int, reservation_id: int) -> None:
    """Give an unpaid order of a guest to the account to which the guest logged in, also while it is being paid for.

    The order's payment follows too, and so does the entry of a line to which the order was given. The end of the
    holds stays the same.

    Raise NotFound if the order is not the guest's; AlreadyReserved if the account already holds tickets of one of
    its types; OverLimit if the order is being paid for, and with it one person would have too many tickets; Busy if
    the guest makes a payment for the order at the same time; also ReservationEnded and AlreadyValidated.
    """
    with person_limit_errors(), db.transaction():
        order_id = selectors.order_id_of(buyer_id=guest_id, reservation_id=reservation_id)
        if order_id is None:
            raise NotFound()
        parties = {"guest_id": guest_id, "buyer_id": buyer_id}
        line.entry_follow(order_id=order_id, **parties)  # first: the entry is locked before the payment
        follow_operations.payments_follow(order_id=order_id, **parties)
        tickets.order_follow(order_id=order_id, **parties)
        follow_operations.check_payments_followed(order_id=order_id, guest_id=guest_id)
