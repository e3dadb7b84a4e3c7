"""What happens to a guest's order when the guest logs in to an account."""

from contextlib import suppress

from checkout import operations
from overlord.kernel import db
from overlord.kernel.errors import Busy, DomainError, NotFound
from tickets import operations as tickets
from tickets import selectors


def orders_follow(*, guest_id: int, buyer_id: int) -> None:
    """Give each unpaid order of a guest's to the account that the guest logs in to.

    One that cannot follow stays the guest's: see `order_follow`.
    """
    for order_id in selectors.orders_live(buyer_id=guest_id):
        parties = {"guest_id": guest_id, "buyer_id": buyer_id}
        with suppress(DomainError):
            try:
                order_follow(reservation_id=order_id, **parties)
            except Busy:  # at most one payment was made meanwhile, and the second attempt sees it
                order_follow(reservation_id=order_id, **parties)


def order_follow(*, guest_id: int, buyer_id: int, reservation_id: int) -> None:
    """Give an unpaid order of a guest to the account that the guest logged in to.

    Its holds end at the same times as before.

    Raise NotFound when the order is not the guest's; AlreadyReserved when the account already holds tickets of one
    of its types; Busy when the guest starts a payment for it at the same time; also PaymentInProgress,
    ReservationEnded and AlreadyValidated.
    """
    with db.transaction():
        order_id = selectors.order_id_of(buyer_id=guest_id, reservation_id=reservation_id)
        if order_id is None:
            raise NotFound()
        parties = {"guest_id": guest_id, "buyer_id": buyer_id}
        operations.payments_follow(order_id=order_id, **parties)
        tickets.order_follow(order_id=order_id, **parties)
        operations.check_payments_followed(order_id=order_id, guest_id=guest_id)
