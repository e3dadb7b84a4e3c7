"""The step that gives a guest's order to an account, inside an open transaction. It locks as `operations` does."""

from functools import partial

from django.db.models import F, Q

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import operations, projections, rules
from tickets.models import Reservation
from tickets.rules import ReservationState


def order_follow(*, order_id: int, guest_id: int, buyer_id: int) -> None:
    """Give a guest's unpaid order, with its ended reservations, to an account. The ends of its holds stay the same.

    Raise NotFound, AlreadyValidated, ReservationEnded, or AlreadyReserved if the account holds tickets of one of
    the order's types. If the order is being paid for, a trigger counts its tickets for the account's person. Above
    the limit, it raises an IntegrityError.
    """
    db.transaction_required()
    order = Reservation.objects.filter(Q(pk=order_id) | Q(lead_id=order_id), buyer_id=guest_id)
    rows = list(order.order_by("id").select_for_update(no_key=True))
    if not rows:
        raise NotFound()
    now = db.now()
    states = {operations.reservation_state(reservation=each, now=now) for each in rows}
    if ReservationState.VALIDATED in states:
        raise rules.AlreadyValidated()
    if not states & {ReservationState.HELD, ReservationState.PAYING}:
        ended_at = rows[0].ended_at or rows[0].expires_at
        raise rules.ReservationEnded(state=ReservationState.EXPIRED, ended_at=ended_at)
    taken = {"reservation_one_live_per_buyer_and_type": rules.AlreadyReserved()}
    with db.constraint_errors(taken):
        order.update(buyer_id=buyer_id, idempotency_key=None, version=F("version") + 1)
    db.after_commit(partial(projections.announce, buyers=[guest_id, buyer_id], now=now))
