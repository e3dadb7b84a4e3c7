"""Steps inside an open transaction, for this app's services and for checkout.

Locks are taken in one order everywhere: payment, reservations by id, inventories by id. What ends or frees
picks its reservation first and touches the inventory last. Each step tells the live side after the commit.
"""

from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import projections, rules, sql
from tickets.event_files import EventToLoad
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.representation import Figures

LATE_RELEASES = 500


class StateChanged(RuntimeError):
    """A reservation that its caller has locked is not in the state it relied on: a bug of ours."""


# Reservations --------------------------------------------------------------------------------------------
def reservation_lock(*, reservation_id: int, buyer_id: int | None = None) -> Reservation:
    """Will lock a reservation, its buyer's own where one is given; raises NotFound."""
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


def reservation_release(*, reservation: Reservation, now: datetime) -> None:
    """Will end a locked hold at its owner's wish and put its tickets back on sale; raises why it cannot."""
    rules.check_releasable(reservation.state)
    _reservation_move(reservation, "held", "released", ended_at=now)
    _inventory_change(reservation, held=-reservation.quantity)


def reservation_extend(*, reservation: Reservation, now: datetime) -> None:
    """Will give a locked hold more time, never less than it has; raises NotExtendable."""
    until = rules.extended_until(
        state=reservation.state, created=reservation.created, expires_at=reservation.expires_at, now=now
    )
    _reservation_move(reservation, "held", "held", expires_at=until)
    _inventory_change(reservation)  # its figures say when the earliest hold ends


def reservation_begin_paying(*, reservation: Reservation, now: datetime) -> None:
    """Will protect a locked hold from expiry while it is paid for; raises ReservationEnded when it is too late."""
    if reservation.state == "held" and reservation.expires_at > now:
        _reservation_move(reservation, "held", "paying", paying_since=now)
    elif reservation.state == "paying":
        raise rules.PaymentInProgress()
    elif reservation.state == "validated":
        raise rules.AlreadyValidated()
    else:
        raise rules.ReservationEnded(state=reservation.state, ended_at=reservation.ended_at)


def reservation_validate(*, reservation: Reservation, paid_minor: int, now: datetime) -> None:
    """Will make a locked reservation's tickets sold, for `paid_minor` minor units."""
    _reservation_move(reservation, "paying", "validated", validated_at=now)
    _inventory_change(
        reservation, held=-reservation.quantity, sold=reservation.quantity, revenue_minor=paid_minor, paid=1
    )


def reservation_stop_paying(*, reservation: Reservation, now: datetime) -> None:
    """Will make a locked reservation a hold again after a failed payment, or end it when its time has passed."""
    if reservation.expires_at > now:
        _reservation_move(reservation, "paying", "held")
        _inventory_change(reservation, failed=1)
    else:
        _reservation_move(reservation, "paying", "expired", ended_at=now)
        _inventory_change(reservation, held=-reservation.quantity, failed=1, expired=1)


def reservation_reseat(*, reservation: Reservation, paid_minor: int, now: datetime) -> bool:
    """Will validate a locked reservation that has expired, for money that came late; False when its tickets are
    gone. Holds that are due make room first; neither the limit per person nor the sale's end stands against it."""
    released = db.rows(sql.RELEASE_DUE, {"ticket_type": reservation.ticket_type_id, "most": LATE_RELEASES})
    for row in released:
        db.after_commit(partial(projections.announce, figures=[figures_of(row)], buyers=row["buyers"]))
    try:
        with db.savepoint():
            _reservation_move(reservation, "expired", "validated", validated_at=now, ended_at=None)
            _inventory_change(reservation, sold=reservation.quantity, revenue_minor=paid_minor, paid=1)
    except IntegrityError as error:
        if db.violated(error) != "inventory_never_oversold":
            raise
        reservation.refresh_from_db()
        return False
    return True


def reservation_pay_back(
    *, reservation: Reservation, amount_minor: int, return_tickets: bool, now: datetime
) -> None:
    """Will take `amount_minor` off what a locked validated reservation brought in, and put its tickets back
    on sale where that was asked for."""
    returned = reservation.quantity if return_tickets else 0
    if return_tickets:
        _reservation_move(reservation, "validated", "released", ended_at=now)
    _inventory_change(reservation, sold=-returned, revenue_minor=-amount_minor)


def _reservation_move(reservation: Reservation, source: str, target: str, **times: datetime | None) -> None:
    """Will change a locked reservation's state by a guarded UPDATE, once."""
    db.transaction_required()
    moved = Reservation.objects.filter(pk=reservation.pk, state=source).update(
        state=target, version=F("version") + 1, **times
    )
    if not moved:
        raise StateChanged(f"Reservation {reservation.pk} is not {source}.")
    reservation.state = target
    for name, at in times.items():
        setattr(reservation, name, at)
    event_id = reservation.ticket_type.event_id
    db.after_commit(partial(projections.announce, events=[event_id], buyers=[reservation.buyer_id]))


def _inventory_change(reservation: Reservation, **steps: int) -> None:
    """Will move counters of the inventory that a locked reservation is of; see `sql/inventory_change.sql`."""
    changes = {"held": 0, "sold": 0, "revenue_minor": 0, "paid": 0, "expired": 0, "failed": 0, **steps}
    changed = db.rows(sql.INVENTORY_CHANGE, {"ticket_type": reservation.ticket_type_id, **changes})
    figures = [figures_of(row) for row in changed]
    db.after_commit(partial(projections.announce, figures=figures))


def figures_of(row: dict[str, Any]) -> tuple[int, Figures]:
    """Will take an inventory's figures, with the event's id, out of a row of our SQL."""
    names = Figures.__dataclass_fields__
    return row["event"], Figures(**{name: row[name] for name in names})


def reservation_is_due(*, reservation: Reservation, now: datetime) -> bool:
    """Will say whether a hold's time has passed, though nobody has ended it yet."""
    return reservation.state == "held" and reservation.expires_at <= now


# What staff edit -----------------------------------------------------------------------------------------
def event_add(*, event: EventToLoad) -> Event:
    """Will put an event of a file on sale, with its ticket types."""
    db.transaction_required()
    added = Event.objects.create(
        name=event.name,
        date=event.date,
        time_zone=event.time_zone,
        currency=event.currency,
        description=event.description,
    )
    for line in event.types:
        ticket_type = TicketType.objects.create(
            event=added, name=line.name, price_minor=line.price_minor, max_per_user=line.max_per_user
        )
        inventory_set(
            ticket_type=ticket_type,
            capacity=line.capacity,
            opens_at=line.opens_at,
            closes_at=line.closes_at,
            paused=False,
        )
    return added


def event_moved(*, event_id: int, before: datetime, after: datetime) -> None:
    """Will let the sales that end with the event end with its new date."""
    db.transaction_required()
    ending = Inventory.objects.filter(ticket_type__event_id=event_id, closes_at=before)
    ending.update(closes_at=after, version=F("version") + 1)


def event_changed(*, event_id: int) -> None:
    """Will give an edited event its next version and tell the live side."""
    db.transaction_required()
    Event.objects.filter(pk=event_id).update(version=F("version") + 1)
    db.after_commit(partial(projections.announce_event, event_id=event_id))


def inventory_set(
    *,
    ticket_type: TicketType,
    capacity: int,
    opens_at: datetime | None,
    closes_at: datetime | None,
    paused: bool,
) -> None:
    """Will set what staff decide about a ticket type's sale, making its inventory where there is none.

    A `closes_at` of None is the event's date. A capacity below what is held and sold violates
    `inventory_never_oversold`.
    """
    db.transaction_required()
    decided = {
        "capacity": capacity,
        "opens_at": opens_at,
        "closes_at": closes_at or ticket_type.event.date,
        "paused": paused,
    }
    changed = Inventory.objects.filter(pk=ticket_type.pk).update(version=F("version") + 1, **decided)
    if not changed:
        Inventory.objects.create(ticket_type=ticket_type, **decided)
    event_changed(event_id=ticket_type.event_id)


def ticket_type_delete(*, ticket_type: TicketType) -> None:
    """Will delete a ticket type nobody ever reserved; raises ProtectedError otherwise.

    The event's version rises by its inventory's, since the version clients see is the sum of both.
    """
    db.transaction_required()
    inventory = Inventory.objects.filter(pk=ticket_type.pk).first()
    event_id, lost = ticket_type.event_id, inventory.version if inventory else 0
    ticket_type.delete()
    Event.objects.filter(pk=event_id).update(version=F("version") + lost)
    event_changed(event_id=event_id)


def sale_pause(*, event_id: int, paused: bool) -> int:
    """Will pause or resume the sale of an event's ticket types, and count those it changed.

    The flag stands on the inventory rows, the ones a claim waits for, so that a claim that was waiting when
    the pause committed obeys it.
    """
    db.transaction_required()
    mine = Inventory.objects.filter(ticket_type__event_id=event_id, paused=not paused)
    locked = list(
        mine.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True)
    )
    Inventory.objects.filter(pk__in=locked).update(paused=paused, version=F("version") + 1)
    event_changed(event_id=event_id)
    return len(locked)
