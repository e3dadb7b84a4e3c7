"""Steps on reservations and inventories inside an open transaction, for this app's services and for checkout.

Locks are taken in one order everywhere: payment, then reservations by id, then their event, then vouchers by id,
then inventories by id. So every step that ends a reservation locks the reservation first and changes the inventory
last. `now` is PostgreSQL's clock, read after the lock. Each step announces its change after the commit.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from overlord.kernel.steps import step_log_after_commit
from tickets import projections, rules, selectors, sql
from tickets.event_rules import EventCancelled, EventStatus
from tickets.models import Inventory, Reservation
from tickets.representation import Figures
from tickets.rules import ReservationState

NO_CHANGE = {"held": 0, "sold": 0, "revenue_minor": 0, "paid": 0, "expired": 0, "failed": 0}
DUE_RELEASED = 500  # the most due holds of a type that are released to make room

deletion_locks: list[Callable[..., object]] = []


def register_deletion_lock(lock: Callable[..., object]) -> None:
    """Register an app's lock. `event_delete` calls it as `lock(event_id=...)` before it locks the inventories."""
    deletion_locks.append(lock)


class StateChanged(RuntimeError):
    """A locked reservation or payment is not in the state that a step requires. This is a bug of ours."""


def reservation_lock(*, reservation_id: int, buyer_id: int | None = None) -> Reservation:
    """Lock and return a reservation; raise NotFound, and with `buyer_id` also for another buyer's reservation."""
    db.transaction_required()
    text = sql.RESERVATION_LOCK if buyer_id is None else sql.OWN_RESERVATION_LOCK
    found = selectors.reservations_joined(text, reservation=reservation_id, buyer=buyer_id)
    if not found:
        raise NotFound()
    return found[0]


def order_lock(*, order_id: int) -> tuple[list[Reservation], datetime]:
    """Lock an order; return all its reservations sorted by id, even ended ones, and `now`; raise NotFound."""
    return _order_locked(sql.ORDER_LOCK, order=order_id)


def order_lock_with(*, reservation_id: int, buyer_id: int) -> tuple[list[Reservation], datetime]:
    """Lock the order of one of the buyer's reservations, as `order_lock` does; raise NotFound."""
    order, now = _order_locked(sql.ORDER_LOCK_WITH, reservation=reservation_id, buyer=buyer_id)
    if order[0].buyer_id != buyer_id:  # the order followed its guest to an account during the wait
        raise NotFound()
    return order, now


def _order_locked(text: str, **params: int) -> tuple[list[Reservation], datetime]:
    db.transaction_required()
    found = selectors.reservations_joined_at(text, **params)
    if not found:
        raise NotFound()
    return [reservation for reservation, _now in found], found[0][1]


def reservation_state(*, reservation: Reservation, now: datetime) -> ReservationState:
    """Return a locked reservation's state. A due hold is EXPIRED, even if its tickets are not released yet."""
    return rules.state_at(state=reservation.state, expires_at=reservation.expires_at, now=now)


def reservations_release(*, reservations: Sequence[Reservation], now: datetime) -> None:
    """Release locked holds and put their tickets back on sale; raise what `rules.check_releasable` raises."""
    for each in reservations:
        rules.check_releasable(each.state, ended_at=each.ended_at)
    vouchers_lock(reservations)
    for each in reservations:
        _reservation_move(each, ReservationState.HELD, ReservationState.RELEASED, ended_at=now)
    _inventories_change([(each, {"held": -each.quantity}) for each in reservations], now=now)


def vouchers_lock(reservations: Sequence[Reservation]) -> None:
    """Lock the vouchers of locked reservations, by id. A trigger counts their uses when a reservation changes."""
    db.transaction_required()
    found = {each.voucher_id for each in reservations if each.voucher_id is not None}
    if found:
        db.rows(sql.VOUCHERS_LOCK, [list(found)])


def order_extend(*, order: Sequence[Reservation], reservation_id: int, now: datetime) -> None:
    """Move the end of all holds of a locked order; raise NotExtendable if `reservation_id` cannot be extended.

    All holds then end at the same time, at most thirty minutes after the order was made.
    """
    [asked] = [each for each in order if each.pk == reservation_id]
    until = rules.extended_until(
        state=asked.state, created=order[0].created, expires_at=asked.expires_at, now=now
    )
    held = [each for each in order if each.state == ReservationState.HELD]
    for each in held:
        _reservation_move(each, ReservationState.HELD, ReservationState.HELD, expires_at=until)
    _inventories_change([(each, {}) for each in held], now=now)  # the figures say when the earliest hold ends


# The payment of an order. `reservations` are the reservations of a locked order that the payment is for -----------
def order_begin_paying(*, order: Sequence[Reservation], now: datetime) -> list[Reservation]:
    """Protect the holds of a locked order from expiry while they are paid for, and return them.

    Raise EventCancelled, PaymentInProgress, AlreadyValidated, or ReservationEnded if a hold is due or none is left.
    """
    if order[0].ticket_type.event.status == EventStatus.CANCELLED:
        raise EventCancelled()
    states = {each.state for each in order}
    if ReservationState.PAYING in states:
        raise rules.PaymentInProgress()
    if ReservationState.VALIDATED in states:
        raise rules.AlreadyValidated()
    held = [each for each in order if each.state == ReservationState.HELD]
    ended = [each for each in held if each.expires_at <= now] or ([] if held else order)
    if ended:
        state = reservation_state(reservation=ended[0], now=now)
        ended_at = ended[0].ended_at or ended[0].expires_at
        raise rules.ReservationEnded(state=str(state), ended_at=ended_at)
    for each in held:
        _reservation_move(each, ReservationState.HELD, ReservationState.PAYING, paying_since=now)
    events, buyers = [held[0].ticket_type.event_id], [held[0].buyer_id]
    db.after_commit(partial(projections.announce, events=events, buyers=buyers, now=now))
    return held


def order_validate(*, reservations: Sequence[Reservation], now: datetime) -> None:
    """Validate reservations that are being paid for, and count their tickets as sold, each at its own price."""
    db.transaction_required()
    minor = [each.total_minor for each in reservations]
    sold = {"reservations": [each.pk for each in reservations], "minor": minor, "now": now}
    rows = db.rows(sql.ORDER_VALIDATE, sold)
    if not rows:
        raise StateChanged(f"Reservations {sold['reservations']} are not all {ReservationState.PAYING}.")
    for each in reservations:
        _moved(each, ReservationState.PAYING, ReservationState.VALIDATED, validated_at=now)
    events = {row["event"] for row in rows}
    _inventories_announce(rows, buyers={each.buyer_id for each in reservations}, sold_in=events, now=now)


def order_sell(*, reservations: Sequence[Reservation], is_free: bool, now: datetime) -> None:
    """Validate locked holds without a gateway, and count their tickets as sold. If `is_free`, the price is 0."""
    if is_free:
        Reservation.objects.filter(pk__in=[each.pk for each in reservations]).update(unit_price_minor=0)
    for each in reservations:
        each.unit_price_minor = 0 if is_free else each.unit_price_minor
        times = {"paying_since": now, "validated_at": now}
        _reservation_move(each, ReservationState.HELD, ReservationState.VALIDATED, **times)
    _inventories_change([(each, _sold(each, held=-each.quantity)) for each in reservations], now=now)


def order_stop_paying(*, reservations: Sequence[Reservation], now: datetime) -> None:
    """Turn reservations back into holds after a failed payment, or expire those that are due."""
    vouchers_lock(reservations)
    changes: list[Change] = []
    for each in reservations:
        if each.expires_at > now:
            _reservation_move(each, ReservationState.PAYING, ReservationState.HELD)
            changes.append((each, {"failed": 1}))
        else:
            _reservation_move(each, ReservationState.PAYING, ReservationState.EXPIRED, ended_at=now)
            changes.append((each, {"held": -each.quantity, "failed": 1, "expired": 1}))
    _inventories_change(changes, now=now)


def order_validate_late(*, reservations: Sequence[Reservation], now: datetime) -> bool:
    """Validate reservations whose money came late, all or none; return whether this was possible.

    It is not possible if the event is cancelled, a reservation was released, or too few tickets or voucher uses are
    left. First, due holds are released. The limit per person and the end of the sale do not matter.
    """
    if _event_status_locked(reservations[0].ticket_type.event_id) == EventStatus.CANCELLED:
        return False
    vouchers_lock(reservations)
    types = {each.ticket_type_id for each in reservations}
    due_holds_make_room(event_id=reservations[0].ticket_type.event_id, ticket_types=types, now=now)
    for each in reservations:
        # The release of due holds may have expired this one.
        each.refresh_from_db(fields=["state", "ended_at"])
    states = [ReservationState(each.state) for each in reservations]
    if not set(states) <= {ReservationState.EXPIRED, ReservationState.HELD}:
        return False  # the buyer has released tickets meanwhile
    try:
        with db.savepoint():
            changes = []
            for each, state in zip(reservations, states, strict=True):
                held = -each.quantity if state == ReservationState.HELD else 0
                _reservation_move(each, state, ReservationState.VALIDATED, validated_at=now, ended_at=None)
                changes.append((each, _sold(each, held=held)))
            _inventories_change(changes, now=now)
    except IntegrityError as error:
        if db.violated(error) not in ("inventory_never_oversold", "voucher_used_within_limit"):
            raise
        for each in reservations:
            each.refresh_from_db()
        return False
    return True


def due_holds_make_room(*, event_id: int, ticket_types: Collection[int], now: datetime) -> None:
    """Lock an event's inventories by id, and release due holds of these types that nobody else has locked.

    All inventories are locked first, because a release locks the inventory of its type only if a hold is due. So
    without this, the transaction could lock inventories in another order than by id.
    """
    inventories_lock(event_id=event_id)
    for ticket_type in sorted(ticket_types):
        for row in db.rows(sql.RELEASE_DUE, {"ticket_type": ticket_type, "most": DUE_RELEASED}):
            released = {"figures": [(row["event"], Figures.from_row(row))], "buyers": row["buyers"]}
            db.after_commit(partial(projections.announce, **released, now=now))


def _event_status_locked(event_id: int) -> EventStatus:
    """Return an event's status, which stays the same until this transaction ends.

    This waits for a cancellation that is not committed yet. A later cancellation finds the tickets that are sold
    here.
    """
    db.transaction_required()
    [event] = db.rows(sql.EVENT_STATUS_LOCKED, [event_id])
    return EventStatus(event["status"])


def order_pay_back(
    *, reservations: Sequence[Reservation], minor: Sequence[int], return_tickets: bool, now: datetime
) -> None:
    """Subtract refunds from the revenue of reservations that were paid for. `minor` has an amount for each.

    With `return_tickets`, release the reservations that are still validated, and put their tickets back on sale.
    """
    vouchers_lock(reservations)
    changes: list[Change] = []
    for each, share in zip(reservations, minor, strict=True):
        returned = 0
        if return_tickets and each.state == ReservationState.VALIDATED:
            returned = each.quantity
            _reservation_move(each, ReservationState.VALIDATED, ReservationState.RELEASED, ended_at=now)
        changes.append((each, {"sold": -returned, "revenue_minor": -share}))
    _inventories_change(changes, now=now)


def _sold(reservation: Reservation, *, held: int) -> dict[str, int]:
    return {
        "held": held,
        "sold": reservation.quantity,
        "revenue_minor": reservation.total_minor,
        "paid": 1,
    }


def reservations_return(*, reservations: Sequence[Reservation], now: datetime) -> None:
    """Put the tickets of locked validated reservations back on sale. The caller must deal with their money."""
    vouchers_lock(reservations)
    for each in reservations:
        _reservation_move(each, ReservationState.VALIDATED, ReservationState.RELEASED, ended_at=now)
    _inventories_change([(each, {"sold": -each.quantity}) for each in reservations], now=now)


def _reservation_move(
    reservation: Reservation,
    source: ReservationState,
    target: ReservationState,
    **times: datetime | None,
) -> None:
    """Change a locked reservation's state by an UPDATE that requires the old one. The caller announces it."""
    db.transaction_required()
    if not db.update(Reservation, {"state": target, **times}, id=reservation.pk, state=source):
        raise StateChanged(f"Reservation {reservation.pk} is not {source}.")
    _moved(reservation, source, target, **times)


def _moved(
    reservation: Reservation,
    source: ReservationState,
    target: ReservationState,
    **times: datetime | None,
) -> None:
    """Log that a reservation has changed its state, and set it in the instance."""
    step_log_after_commit(f"reservation_{target}", reservation=reservation.pk, was=source, **times)
    reservation.state = target
    for name, at in times.items():
        setattr(reservation, name, at)


Change = tuple[Reservation, Mapping[str, int]]


def _inventories_change(changes: Sequence[Change], *, now: datetime) -> None:
    """Change counters of the inventories of locked reservations, by id. NO_CHANGE has the counters' names.

    There is only one announcement of all these changes, because each announcement calls Redis.
    """
    changed_rows: list[dict[str, Any]] = []
    sold_in: set[int] = set()
    for reservation, steps in sorted(changes, key=lambda change: change[0].ticket_type_id):
        changed = {**NO_CHANGE, **steps, "ticket_type": reservation.ticket_type_id}
        rows = db.rows(sql.INVENTORY_CHANGE, changed)
        changed_rows += rows
        sold_in |= {row["event"] for row in rows if changed["sold"]}
    buyers = {reservation.buyer_id for reservation, _ in changes}
    _inventories_announce(changed_rows, buyers=buyers, sold_in=sold_in, now=now)


def _inventories_announce(
    rows: Sequence[Mapping[str, Any]], *, buyers: set[int], sold_in: set[int], now: datetime
) -> None:
    """Announce changed inventories after the commit. In the events of `sold_in`, tickets were sold or returned."""
    figures = [(row["event"], Figures.from_row(row)) for row in rows]
    db.after_commit(partial(projections.announce, figures=figures, buyers=buyers, sold_in=sold_in, now=now))


# The line ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, kw_only=True)
class Basket:
    """The tickets that a buyer wishes: the first of `choices` that is available is given.

    A choice is a list of (ticket type, quantity).
    """

    buyer_id: int
    choices: Sequence[Sequence[Sequence[int]]]


@dataclass(frozen=True, kw_only=True)
class Given:
    """The id of a basket's order, or None. `own`: tickets were left, but the buyer's own or a limit forbid it."""

    order_id: int | None
    own: bool


@dataclass(frozen=True, kw_only=True)
class Left:
    """How many tickets of a type can be given now, the limit per person, and whether a line comes first."""

    tickets: int
    max_per_user: int
    line_first: bool


def inventories_lock(*, event_id: int) -> dict[int, Left]:
    """Lock all inventories of an event by id; return what is left: {ticket type: Left}."""
    db.transaction_required()
    return {
        row["ticket_type"]: Left(
            tickets=row["tickets"], max_per_user=row["max_per_user"], line_first=row["line_first"]
        )
        for row in db.rows(sql.INVENTORIES_LOCK, {"event": event_id})
    }


def orders_give(*, event_id: int, baskets: Sequence[Basket], hold: timedelta, now: datetime) -> list[Given]:
    """Give baskets of one event to their buyers, one after the other, each whole or not at all.

    This ignores whether a line comes first. Return one result for each basket, in the sequence of `baskets`.
    """
    db.transaction_required()
    asked = json.dumps([{"buyer": each.buyer_id, "choices": each.choices} for each in baskets])
    wanted = {"event": event_id, "baskets": asked, "hold_seconds": hold.total_seconds()}
    rows = sorted(db.rows(sql.GIVE_ORDERS, wanted), key=lambda row: int(row["nth"]))
    buyers = [each.buyer_id for each, row in zip(baskets, rows, strict=True) if row["order_id"]]
    if buyers:
        db.after_commit(partial(projections.announce_sale, event_id=event_id, buyers=buyers, now=now))
    return [Given(order_id=row["order_id"], own=row["own"]) for row in rows]


def line_first_set(*, event_id: int, types: Collection[int], now: datetime) -> None:
    """Let tickets of these types of an event go to people in line first, and tickets of its other types to anyone.

    A claim that waits for an inventory sees the change.
    """
    if line_first_write(event_id=event_id, types=types):
        db.after_commit(partial(projections.announce_sale, event_id=event_id, buyers=(), now=now))


def line_first_write(*, event_id: int, types: Collection[int]) -> int:
    """Do what `line_first_set` does, but announce nothing; return how many ticket types changed."""
    locked = inventories_lock(event_id=event_id)
    changed = [each for each, left in locked.items() if left.line_first != (each in types)]
    inventories = Inventory.objects.filter(pk__in=changed)
    return inventories.update(line_first=~F("line_first"), version=F("version") + 1)


def sale_open(*, event_id: int, now: datetime) -> None:
    """Open the sale now for those ticket types of an event that buyers see and that would open later."""
    inventories_lock(event_id=event_id)
    shown = Inventory.objects.filter(ticket_type__event_id=event_id, ticket_type__hidden=False)
    later = shown.filter(opens_at__gt=now)
    if later.update(opens_at=now, version=F("version") + 1):
        db.after_commit(partial(projections.announce_sale, event_id=event_id, buyers=(), now=now))
