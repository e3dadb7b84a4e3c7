"""Use cases of selling: reserve, change and release tickets, expire holds, pause sales. Transactions open here.

`now` comes from the caller. A transaction that decides whether a hold has ended reads PostgreSQL's clock after the
lock, because that clock alone decides this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError

from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import Busy, DomainError, Mismatch, NotFound
from overlord.kernel.preconditions import check_version
from overlord.kernel.steps import step_log
from tickets import (
    event_operations,
    event_selectors,
    limits,
    operations,
    projections,
    representation,
    resize_operations,
    rules,
    selectors,
    sold_out_cache,
    sql,
    voucher_rules,
    voucher_selectors,
)
from tickets.event_files import EventToLoad, FileErrors
from tickets.models import Reservation
from tickets.representation import Figures
from tickets.rules import ReservationEnded, ReservationState, UnknownTicketType
from tickets.voucher_rules import VoucherFacts

CLAIM_ATTEMPTS = 3  # one, another after due holds were released, and one more if another buyer was quicker
SWEEP_BATCH = 1000
SWEEP_TYPES = 200
# How far a sweep looks back at its first instant. This is longer than a pause between two sweeps. To announce a
# change twice is harmless.
BOUNDARY_OVERLAP = timedelta(seconds=15)


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A reservation as clients see it. `replayed` tells whether an earlier request with the same key made it."""

    reservation: dict[str, Any]
    replayed: bool


def reservation_create(
    *, buyer_id: int, ticket_type: int, quantity: int, key: str | None, hold: timedelta, now: datetime
) -> Reserved:
    """Hold `quantity` tickets for the buyer for the time of `hold`, in one autocommitted statement.

    Raise what `rules.refusal` and `rules.buyer_refusal` return, UnknownTicketType, Mismatch if the key was used for
    something else, or Busy if other buyers were quicker three times.
    """
    if key is None:
        sold_out_cache.recall(ticket_type=ticket_type)
    for _ in range(CLAIM_ATTEMPTS):
        try:
            claimed = _claim(buyer_id, ticket_type, quantity, key, hold)
        except DomainError:
            if key is None or not selectors.reservation_row_by_key(buyer_id=buyer_id, key=key):
                raise
            claimed = None  # this repeats a request that was granted before
        if claimed is not None:
            facts = {"quantity": quantity, "buyer": buyer_id}
            step_log("reservation_claimed", reservation=claimed["id"], ticket_type=ticket_type, **facts)
            return Reserved(
                reservation=representation.reservation(claimed, now=claimed["created"]), replayed=False
            )
        if key is not None and (earlier := selectors.reservation_row_by_key(buyer_id=buyer_id, key=key)):
            return _replay(earlier, ticket_type=ticket_type, quantity=quantity, now=now)
        claim_diagnose(buyer_id=buyer_id, ticket_type=ticket_type, quantity=quantity)
    raise Busy()


def _claim(
    buyer_id: int, ticket_type: int, quantity: int, key: str | None, hold: timedelta
) -> dict[str, Any] | None:
    """Try the claim once and announce it; return its row, or None if it was not granted."""
    wanted = {"buyer": buyer_id, "ticket_type": ticket_type, "quantity": quantity, "key": key, "order": None}
    try:
        granted = db.statement(
            sql.CLAIM, {**wanted, **limits.of_buyer(), "hold_seconds": hold.total_seconds()}
        )
    except IntegrityError as error:
        buyer_refused(error)
        return None  # the buyer's own reservations refuse it; `claim_diagnose` finds the reason
    if not granted:
        return None
    [row] = granted
    figures = Figures.from_row({**row, "ticket_type": ticket_type})
    projections.announce(figures=[(row["event"], figures)], buyers=[buyer_id], now=row["created"])
    return {
        "id": row["reservation_id"],
        "lead_id": None,
        "ticket_type_id": ticket_type,
        "event_id": row["event"],
        "quantity": quantity,
        "unit_price_minor": row["unit_price_minor"],
        "discount_minor": None,
        "voucher__text": None,
        "currency": row["currency"],
        "created": row["created"],
        "expires_at": row["expires_at"],
        "ended_at": None,
        "state": ReservationState.HELD,
        "version": 1,
    }


def buyer_refused(error: IntegrityError) -> None:
    """Raise what `rules.buyer_refusal` returns for a claim that the database refused."""
    constraint = db.violated(error)
    if (constraint or "") in rules.BUYER_CONSTRAINTS:
        raise rules.buyer_refusal(str(constraint), db.violation_facts(error)) from error


def _replay(earlier: dict[str, Any], *, ticket_type: int, quantity: int, now: datetime) -> Reserved:
    """Return what an earlier request with this key reserved; raise Mismatch if this request is another one."""
    made = (earlier["ticket_type_id"], earlier["quantity_claimed"])
    is_other = earlier["key_of_batch"] or earlier["voucher__text"] is not None or not earlier["is_alone"]
    if is_other or made != (ticket_type, quantity):
        raise Mismatch()
    db.commits_await()
    return Reserved(reservation=representation.reservation(earlier, now=now), replayed=True)


def claim_diagnose(
    *, buyer_id: int, ticket_type: int, quantity: int, voucher: VoucherFacts | None = None
) -> None:
    """Raise the reason why a claim was not granted, or release the due holds that prevented it."""
    facts = selectors.claim_facts(buyer_id=buyer_id, ticket_type=ticket_type)
    if facts is None:
        raise UnknownTicketType()
    facts = voucher_rules.claim_facts_with(voucher, facts, ticket_type)
    refused = rules.refusal(facts, quantity=quantity)
    if refused is not None:
        sold_out_cache.remember(ticket_type=ticket_type, facts=facts, refused=refused)
        raise refused
    if facts.due_holds:
        due_holds_release(ticket_type=ticket_type)


def reservation_get(*, buyer_id: int, reservation_id: int, now: datetime) -> dict[str, Any]:
    """Return one of the buyer's reservations; raise NotFound, or ReservationEnded if it has ended."""
    row = _reservation_row(buyer_id=buyer_id, reservation_id=reservation_id)
    if row["ended_at"] is not None:
        raise ReservationEnded(state=row["state"], ended_at=row["ended_at"])
    return representation.reservation(row, now=now)


def _reservation_row(*, buyer_id: int, reservation_id: int) -> dict[str, Any]:
    row = selectors.reservation_row(buyer_id=buyer_id, reservation_id=reservation_id)
    if row is None:
        raise NotFound()
    return row


def _changed(*, buyer_id: int, reservation_id: int, now: datetime) -> dict[str, Any]:
    """Return a reservation that was just changed. It may have ended since, but the change was committed before."""
    row = _reservation_row(buyer_id=buyer_id, reservation_id=reservation_id)
    return representation.reservation(row, now=now)


def reservation_release(*, buyer_id: int, reservation_id: int, version: int | None = None) -> None:
    """Release the buyer's hold; raise NotFound, PaymentInProgress, AlreadyValidated, ReservationEnded or Outdated.

    `version` is the version of the reservation that the buyer saw, or None.
    """
    with db.transaction():
        reservation = operations.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
        _check_version(reservation, version)
        operations.reservations_release(reservations=[reservation], now=db.now())


def _check_version(reservation: Reservation, version: int | None) -> None:
    """Raise Outdated if a locked hold has another version than its buyer saw.

    If the hold has ended, raise the error that says so instead.
    """
    if version is not None:
        rules.check_releasable(reservation.state, ended_at=reservation.ended_at)
        check_version(version, reservation.version)


def reservation_resize(
    *, buyer_id: int, reservation_id: int, quantity: int, version: int | None = None
) -> dict[str, Any]:
    """Change the buyer's hold to exactly `quantity` tickets, or not at all; return it. Its end stays the same.

    Raise NotFound, PaymentInProgress, AlreadyValidated, ReservationEnded or Outdated, as `reservation_release`
    does. For more tickets, also raise what `rules.refusal` returns, the errors of the hold's voucher, or Busy if
    other buyers were quicker three times.
    """
    for _ in range(CLAIM_ATTEMPTS):
        with db.transaction():
            reservation = operations.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
            _check_version(reservation, version)
            now, step = db.now(), quantity - reservation.quantity
            if resize_operations.reservation_resize(reservation=reservation, quantity=quantity, now=now):
                break
        _resize_diagnose(reservation, step)
    else:
        raise Busy()
    return _changed(buyer_id=buyer_id, reservation_id=reservation_id, now=now)


def _resize_diagnose(reservation: Reservation, step: int) -> None:
    """Raise the reason why a hold cannot have `step` more tickets, or release the due holds that prevent it."""
    ticket_type = reservation.ticket_type_id
    facts = selectors.claim_facts(buyer_id=reservation.buyer_id, ticket_type=ticket_type)
    if facts is None:
        raise UnknownTicketType()
    voucher = (
        voucher_selectors.facts_of(voucher_id=reservation.voucher_id) if reservation.voucher_id else None
    )
    facts = voucher_rules.claim_facts_with(voucher, replace(facts, live_reservation=None), ticket_type)
    refused = rules.refusal(facts, quantity=step)
    if refused is not None:
        raise refused
    if facts.due_holds:
        due_holds_release(ticket_type=ticket_type)


def reservation_extend(*, buyer_id: int, reservation_id: int) -> dict[str, Any]:
    """Extend all holds in the order of the buyer's hold, and return the hold; raise NotFound or NotExtendable."""
    with db.transaction():
        order, now = operations.order_lock_with(reservation_id=reservation_id, buyer_id=buyer_id)
        operations.order_extend(order=order, reservation_id=reservation_id, now=now)
    return _changed(buyer_id=buyer_id, reservation_id=reservation_id, now=now)


# Expiry --------------------------------------------------------------------------------------------------
def due_holds_release(*, ticket_type: int) -> int:
    """Expire at most SWEEP_BATCH due holds of one ticket type, in one statement; return how many."""
    expired = db.statement(sql.RELEASE_DUE, {"ticket_type": ticket_type, "most": SWEEP_BATCH})
    if not expired:
        return 0
    [row] = expired
    figures = [(row["event"], Figures.from_row(row))]
    projections.announce(figures=figures, buyers=row["buyers"], now=row["at"])
    step_log("holds_expired", ticket_type=ticket_type, holds=len(row["buyers"]))
    return len(row["buyers"])


def due_holds_sweep() -> int:
    """Expire all due holds, one batch of a ticket type at a time; return how many. Errors of a type are logged."""
    expired = 0
    while types := selectors.types_with_due_holds(most=SWEEP_TYPES):
        batch = 0
        for ticket_type in types:
            with db.errors_logged("expiring the holds of ticket type", ticket_type):
                batch += due_holds_release(ticket_type=ticket_type)
        if not batch:
            break  # the rest failed, or is locked by other transactions; the next sweep looks again
        expired += batch
    return expired


def sweep(*, instants: Iterable[datetime]) -> None:
    """At each of the instants, do what has become due. The iterator waits until the next instant has come.

    One process at a time sweeps; a second one waits, and takes over when the first ends. Without a sweep, screens
    are late, but no ticket is lost: a claim that needs the tickets of due holds releases them itself.
    """
    processed = None
    with db.advisory_lock("tickets.sweep") as lock:
        for now in instants:
            if lock.is_mine():
                time_passed(after=processed or now - BOUNDARY_OVERLAP, until=now)
                processed = now


def time_passed(*, after: datetime, until: datetime) -> None:
    """Do what became due between two instants.

    Expire due holds, announce events whose sales opened or closed, and send advice to buyers whose holds end soon.
    """
    span = {"after": after, "until": until}
    seen = selectors.sweep_glance(thresholds=rules.EXPIRING_SECONDS, **span)
    if seen["due"]:
        due_holds_sweep()
    if seen["crossed"]:
        projections.announce(events=selectors.events_with_sale_boundary(**span), now=until)
    if seen["expiring"]:
        holds = selectors.holds_expiring(thresholds=rules.EXPIRING_SECONDS, **span)
        projections.announce_expiring(holds=holds, now=until)


# Staff ---------------------------------------------------------------------------------------------------
def sale_pause(*, staff_id: int | None, event_ids: Iterable[int], paused: bool, now: datetime) -> int:
    """Pause or resume the sale of events for all claims that are not granted yet; return how many types changed."""
    count = 0
    with db.transaction():
        for event_id in sorted(event_ids):
            changed = event_operations.sale_pause(event_id=event_id, paused=paused, now=now)
            if changed:
                action = Action.SALE_PAUSED if paused else Action.SALE_RESUMED
                journal.entry_add(actor_id=staff_id, action=action, event_id=event_id, now=now)
            count += changed
    return count


def _local(event: EventToLoad) -> datetime:
    return event.date.astimezone(ZoneInfo(event.time_zone))


def events_load(*, events: Sequence[EventToLoad], now: datetime) -> int:
    """Add all events of a file, or none; return how many.

    Raise FileErrors for events that exist already, or for one that the database refuses.
    """
    with db.transaction():
        known = event_selectors.events_known([(event.name, event.date) for event in events])
        mistakes = [
            (event.line, f"{event.name} on {_local(event).isoformat()} already exists.")
            for event in events
            if (event.name, event.date) in known
        ]
        if mistakes:
            raise FileErrors(mistakes)
        for event in events:
            try:
                event_operations.event_add(event=event, now=now)
            except IntegrityError as error:  # a constraint refuses this event, so all events are undone
                sentence = f"The database refuses {event.name} ({db.violated(error)})."
                raise FileErrors([(event.line, sentence)]) from error
        journal.entry_add(actor_id=None, action=Action.EVENTS_LOADED, now=now, count=len(events))
    return len(events)
