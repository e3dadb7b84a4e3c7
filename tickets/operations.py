"""Steps of a reservation's life inside an open transaction, for this app's services and for checkout.

Locks are taken in one order everywhere: payment, then reservations by id, then inventories by id. So what ends a
reservation locks it first and changes the inventory last. `now` is PostgreSQL's clock, read after the lock. Each
step announces the change after the commit.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from django.db import IntegrityError
from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import projections, rules, sql
from tickets.models import Reservation
from tickets.representation import Figures
from tickets.rules import ReservationState

LATE_RELEASES = 500  # due holds that make room for money that came late


class StateChanged(RuntimeError):
    """A reservation or payment that its caller has locked is not in the state it relied on: our bug."""


def reservation_lock(*, reservation_id: int, buyer_id: int | None = None) -> Reservation:
    """Lock a reservation, the buyer's own if one is given; raise NotFound."""
    db.transaction_required()
    reservations = Reservation.objects.select_related("ticket_type__event").select_for_update(
        no_key=True, of=("self",)
    )
    if buyer_id is not None:
        reservations = reservations.filter(buyer_id=buyer_id)
    reservation = reservations.filter(pk=reservation_id).first()
    if reservation is None:
        raise NotFound()
    return reservation


def order_lock(*, reservation_id: int, buyer_id: int | None = None) -> list[Reservation]:
    """Lock the order of a reservation, the buyer's own if one is given; return all it has, by id; raise NotFound.

    The lead is locked first and alone, so that whoever adds to the order has finished when the rest is read.
    """
    db.transaction_required()
    found = Reservation.objects.filter(pk=reservation_id)
    if buyer_id is not None:
        found = found.filter(buyer_id=buyer_id)
    order_id = found.values_list(Coalesce("lead_id", "id"), flat=True).first()
    if order_id is None:
        raise NotFound()
    lead = reservation_lock(reservation_id=order_id)
    rest = Reservation.objects.select_related("ticket_type__event").filter(lead_id=order_id).order_by("id")
    return [lead, *rest.select_for_update(no_key=True, of=("self",))]


def reservation_state(*, reservation: Reservation, now: datetime) -> ReservationState:
    """Return a locked reservation's state, EXPIRED for a due hold whose tickets are not released yet."""
    return rules.state_at(state=reservation.state, expires_at=reservation.expires_at, now=now)


def reservation_release(*, reservation: Reservation, now: datetime) -> None:
    """Release a locked hold and put its tickets back on sale; raise what `rules.check_releasable` does."""
    rules.check_releasable(reservation.state)
    _reservation_move(reservation, ReservationState.HELD, ReservationState.RELEASED, ended_at=now)
    _inventory_change(reservation, now=now, held=-reservation.quantity)


def reservation_resize(*, reservation: Reservation, quantity: int, now: datetime) -> bool:
    """Make a locked hold one of `quantity` tickets; return False when the inventory does not grant so many.

    Raises what `rules.check_resizable` does, and OverLimit.
    """
    rules.check_resizable(
        state=reservation.state,
        expires_at=reservation.expires_at,
        unit_price_minor=reservation.unit_price_minor,
        quantity=quantity,
        now=now,
    )
    step = quantity - reservation.quantity
    if step == 0:
        return True
    if step > 0:
        _check_limit(reservation, quantity)
    changed = db.rows(sql.INVENTORY_STEP, {"ticket_type": reservation.ticket_type_id, "step": step})
    if not changed:
        return False
    Reservation.objects.filter(pk=reservation.pk).update(
        quantity=quantity,
        quantity_claimed=Coalesce("quantity_claimed", "quantity"),
        version=F("version") + 1,
    )
    figures = [(row["event"], Figures.from_row(row)) for row in changed]
    db.after_commit(partial(projections.announce, figures=figures, buyers=[reservation.buyer_id], now=now))
    return True


def _check_limit(reservation: Reservation, quantity: int) -> None:
    """Raise OverLimit when the buyer would have too many, beside what is paid. No other claim of theirs can come
    between: a buyer has one live reservation of a type, and this one is locked."""
    paid = Reservation.objects.filter(
        buyer_id=reservation.buyer_id,
        ticket_type_id=reservation.ticket_type_id,
        state=ReservationState.VALIDATED,
    ).aggregate(tickets=Sum("quantity", default=0))["tickets"]
    limit = reservation.ticket_type.max_per_user
    if paid + quantity > limit:
        raise rules.OverLimit(max_per_user=limit)


def order_extend(*, order: Sequence[Reservation], reservation_id: int, now: datetime) -> None:
    """Move the end of a locked order, whose reservation `reservation_id` must be held; raise NotExtendable.

    All its holds end together, thirty minutes after its first was made at most.
    """
    [asked] = [each for each in order if each.pk == reservation_id]
    until = rules.extended_until(
        state=asked.state, created=order[0].created, expires_at=asked.expires_at, now=now
    )
    held = [each for each in order if each.state == ReservationState.HELD]
    for each in held:
        _reservation_move(each, ReservationState.HELD, ReservationState.HELD, expires_at=until)
    for each in sorted(held, key=_by_inventory):
        _inventory_change(each, now=now)  # its figures say when the earliest hold ends


def _by_inventory(reservation: Reservation) -> int:
    return reservation.ticket_type_id


def reservation_begin_paying(*, reservation: Reservation, now: datetime) -> None:
    """Protect a locked hold from expiry while it is paid for.

    Raises PaymentInProgress, AlreadyValidated, and ReservationEnded when the hold has ended or is due.
    """
    if reservation.state == ReservationState.HELD and reservation.expires_at > now:
        _reservation_move(reservation, ReservationState.HELD, ReservationState.PAYING, paying_since=now)
        events, buyers = [reservation.ticket_type.event_id], [reservation.buyer_id]
        db.after_commit(partial(projections.announce, events=events, buyers=buyers, now=now))
    elif reservation.state == ReservationState.PAYING:
        raise rules.PaymentInProgress()
    elif reservation.state == ReservationState.VALIDATED:
        raise rules.AlreadyValidated()
    else:
        raise rules.ReservationEnded(state=reservation.state, ended_at=reservation.ended_at)


def reservation_validate(*, reservation: Reservation, paid_minor: int, now: datetime) -> None:
    """Count a locked reservation that is being paid for as sold, for `paid_minor`."""
    _reservation_move(reservation, ReservationState.PAYING, ReservationState.VALIDATED, validated_at=now)
    quantity = reservation.quantity
    _inventory_change(reservation, now=now, held=-quantity, sold=quantity, revenue_minor=paid_minor, paid=1)


def reservation_stop_paying(*, reservation: Reservation, now: datetime) -> None:
    """Turn a locked reservation back into a hold after a failed payment, or expire it when it is due."""
    if reservation.expires_at > now:
        _reservation_move(reservation, ReservationState.PAYING, ReservationState.HELD)
        _inventory_change(reservation, now=now, failed=1)
    else:
        _reservation_move(reservation, ReservationState.PAYING, ReservationState.EXPIRED, ended_at=now)
        _inventory_change(reservation, now=now, held=-reservation.quantity, failed=1, expired=1)


def reservation_reseat(*, reservation: Reservation, paid_minor: int, now: datetime) -> bool:
    """Validate a locked expired reservation whose money came late; return False when no tickets are left for it.

    Due holds are released first to make room. Neither the limit per person nor the end of the sale matters here.
    """
    released = db.rows(sql.RELEASE_DUE, {"ticket_type": reservation.ticket_type_id, "most": LATE_RELEASES})
    for row in released:
        changed = {"figures": [(row["event"], Figures.from_row(row))], "buyers": row["buyers"]}
        db.after_commit(partial(projections.announce, **changed, now=now))
    try:
        with db.savepoint():
            _reservation_move(
                reservation,
                ReservationState.EXPIRED,
                ReservationState.VALIDATED,
                validated_at=now,
                ended_at=None,
            )
            _inventory_change(
                reservation, now=now, sold=reservation.quantity, revenue_minor=paid_minor, paid=1
            )
    except IntegrityError as error:
        if db.violated(error) != "inventory_never_oversold":
            raise
        reservation.refresh_from_db()
        return False
    return True


def reservation_pay_back(
    *, reservation: Reservation, amount_minor: int, return_tickets: bool, now: datetime
) -> None:
    """Subtract `amount_minor` from what a locked validated reservation brought in.

    With `return_tickets`, release it too and put its tickets back on sale, unless they are already.
    """
    returns = return_tickets and reservation.state == ReservationState.VALIDATED
    returned = reservation.quantity if returns else 0
    if returns:
        _reservation_move(reservation, ReservationState.VALIDATED, ReservationState.RELEASED, ended_at=now)
    _inventory_change(reservation, now=now, sold=-returned, revenue_minor=-amount_minor)


def reservation_return(*, reservation: Reservation, now: datetime) -> None:
    """Put the tickets of a locked validated reservation back on sale. Its money is the caller's concern."""
    _reservation_move(reservation, ReservationState.VALIDATED, ReservationState.RELEASED, ended_at=now)
    _inventory_change(reservation, now=now, sold=-reservation.quantity)


def _reservation_move(
    reservation: Reservation,
    source: ReservationState,
    target: ReservationState,
    **times: datetime | None,
) -> None:
    """Change a locked reservation's state by an UPDATE that insists on the old one. The caller announces it."""
    db.transaction_required()
    moved = Reservation.objects.filter(pk=reservation.pk, state=source).update(
        state=target, version=F("version") + 1, **times
    )
    if not moved:
        raise StateChanged(f"Reservation {reservation.pk} is not {source}.")
    reservation.state = target
    for name, at in times.items():
        setattr(reservation, name, at)


def _inventory_change(reservation: Reservation, *, now: datetime, **steps: int) -> None:
    """Move counters of a locked reservation's inventory, as `sql/inventory_change.sql` names them.

    Announce that with what else changed of the reservation: each announcement asks Redis.
    """
    changes = {"held": 0, "sold": 0, "revenue_minor": 0, "paid": 0, "expired": 0, "failed": 0, **steps}
    changed = db.rows(sql.INVENTORY_CHANGE, {"ticket_type": reservation.ticket_type_id, **changes})
    figures = [(row["event"], Figures.from_row(row)) for row in changed]
    buyers = [reservation.buyer_id]
    db.after_commit(partial(projections.announce, figures=figures, buyers=buyers, now=now))
