"""Use cases of selling. The only place of this app where a transaction opens."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from overlord.kernel import clock, db
from overlord.kernel.errors import Busy, Mismatch, NotFound
from tickets import operations, projections, representation, rules, selectors, sold_out_cache, sql
from tickets.event_files import EventToLoad, FileErrors
from tickets.rules import ReservationEnded, UnknownTicketType

CLAIM_ATTEMPTS = 3  # the first, one after releasing due holds, one more when a rival was quicker
SWEEP_BATCH = 1000
SWEEP_TYPES = 200
BOUNDARY_OVERLAP = timedelta(
    seconds=15
)  # longer than two sweepers can lie apart; announcing twice is harmless


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A reservation as its client sees it, and whether an earlier request with the same key had made it."""

    reservation: dict[str, Any]
    replayed: bool


def reservation_create(
    *, buyer_id: int, ticket_type: int, quantity: int, key: str | None, hold: timedelta, now: datetime
) -> Reserved:
    """Will take `quantity` tickets for the buyer until `hold` has passed, or say why not.

    The happy path is one autocommitted statement. Raises the refusals of `rules.refusal`, UnknownTicketType,
    Mismatch when the key was used for something else, and Busy when rivals were quicker three times.
    """
    if key is None:
        sold_out_cache.recall(ticket_type=ticket_type, now=now)
    for _ in range(CLAIM_ATTEMPTS):
        claimed = _claim(buyer_id, ticket_type, quantity, key, hold)
        if claimed is not None:
            return Reserved(
                reservation=representation.reservation(claimed, now=claimed["created"]), replayed=False
            )
        if key is not None and (earlier := selectors.reservation_row_by_key(buyer_id=buyer_id, key=key)):
            return _replay(earlier, ticket_type=ticket_type, quantity=quantity, now=now)
        _diagnose(buyer_id, ticket_type, quantity)
    raise Busy()


def _claim(
    buyer_id: int, ticket_type: int, quantity: int, key: str | None, hold: timedelta
) -> dict[str, Any] | None:
    """Will try the claim once and announce it; None when anything stood against it."""
    wanted = {"buyer": buyer_id, "ticket_type": ticket_type, "quantity": quantity, "key": key}
    try:
        granted = db.statement(sql.CLAIM, {**wanted, "hold_seconds": hold.total_seconds()})
    except IntegrityError:
        return None  # which of the buyer's own reservations refused it is for the diagnosis to say
    if not granted:
        return None
    [row] = granted
    row["ticket_type"] = ticket_type
    projections.announce(figures=[operations.figures_of(row)], buyers=[buyer_id])
    return {
        "id": row["reservation_id"],
        "ticket_type_id": ticket_type,
        "event_id": row["event"],
        "quantity": quantity,
        "unit_price_minor": row["unit_price_minor"],
        "currency": row["currency"],
        "created": row["created"],
        "expires_at": row["expires_at"],
        "ended_at": None,
        "state": "held",
        "version": 1,
    }


def _replay(earlier: dict[str, Any], *, ticket_type: int, quantity: int, now: datetime) -> Reserved:
    if (earlier["ticket_type_id"], earlier["quantity"]) != (ticket_type, quantity):
        raise Mismatch()
    return Reserved(reservation=representation.reservation(earlier, now=now), replayed=True)


def _diagnose(buyer_id: int, ticket_type: int, quantity: int) -> None:
    """Will raise what stood against a claim, or clear it away: due holds are released, a rival has gone."""
    facts = selectors.claim_facts(buyer_id=buyer_id, ticket_type=ticket_type)
    if facts is None:
        raise UnknownTicketType()
    refused = rules.refusal(facts, quantity=quantity)
    if refused is not None:
        sold_out_cache.remember(ticket_type=ticket_type, refused=refused, now=facts.now)
        raise refused
    if facts.due_holds:
        due_holds_release(ticket_type=ticket_type)


def reservation_get(*, buyer_id: int, reservation_id: int, now: datetime) -> dict[str, Any]:
    """Will show one of the buyer's reservations; raises NotFound, and ReservationEnded for one that has."""
    row = selectors.reservation_row(buyer_id=buyer_id, reservation_id=reservation_id)
    if row is None:
        raise NotFound()
    if row["ended_at"] is not None:
        raise ReservationEnded(state=row["state"], ended_at=row["ended_at"])
    return representation.reservation(row, now=now)


def reservation_release(*, buyer_id: int, reservation_id: int) -> None:
    """Will end the buyer's hold at his wish; raises NotFound, PaymentInProgress, AlreadyValidated or
    ReservationEnded."""
    with db.transaction():
        reservation = operations.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
        operations.reservation_release(reservation=reservation, now=db.now())


def reservation_extend(*, buyer_id: int, reservation_id: int) -> dict[str, Any]:
    """Will give the buyer's hold more time, and show it; raises NotFound and NotExtendable."""
    with db.transaction():
        reservation = operations.reservation_lock(reservation_id=reservation_id, buyer_id=buyer_id)
        operations.reservation_extend(reservation=reservation, now=db.now())
    return reservation_get(buyer_id=buyer_id, reservation_id=reservation_id, now=clock.now())


# Expiry --------------------------------------------------------------------------------------------------
def due_holds_release(*, ticket_type: int) -> int:
    """Will end due holds of one ticket type, a batch at the most, and count them. One statement of its own."""
    ended = db.statement(sql.RELEASE_DUE, {"ticket_type": ticket_type, "most": SWEEP_BATCH})
    if not ended:
        return 0
    [row] = ended
    projections.announce(figures=[operations.figures_of(row)], buyers=row["buyers"])
    return len(row["buyers"])


def due_holds_sweep() -> int:
    """Will end all holds that are due, one ticket type a batch, and count them."""
    ended = 0
    while types := selectors.types_with_due_holds(most=SWEEP_TYPES):
        batch = sum(due_holds_release(ticket_type=ticket_type) for ticket_type in types)
        if not batch:
            break  # the rest is in somebody else's hands
        ended += batch
    return ended


def sweep_for(*, seconds: float, pause: Callable[[], bool]) -> None:
    """Will sweep for `seconds`, once between two calls of `pause`, which says true to stop early.

    One process sweeps at a time; another waits beside it, ready to go on the moment it ends. A dead sweeper
    costs freshness, never a ticket: a claim that needs due holds releases them itself.
    """
    until = time.monotonic() + seconds
    looked = clock.now() - BOUNDARY_OVERLAP
    with db.advisory_lock("tickets.sweep") as lock:
        while time.monotonic() < until:
            if lock.is_mine():
                looked = _see_to_what_came(looked)
            if pause():
                return


def _see_to_what_came(looked: datetime) -> datetime:
    """Will see to what the clock alone brought since `looked`, and give the instant up to which it did.

    These are holds that are due, events of which a sale opened or closed, and holds that are near their end.
    """
    now = clock.now()
    span = {"after": looked, "until": now}
    seen = selectors.sweep_glance(thresholds=rules.EXPIRING_SECONDS, **span)
    if seen["due"]:
        due_holds_sweep()
    if seen["crossed"]:
        projections.announce(events=selectors.events_with_sale_boundary(**span))
    if seen["expiring"]:
        holds = selectors.holds_expiring(thresholds=rules.EXPIRING_SECONDS, **span)
        projections.announce_expiring(holds=holds, now=now)
    return now


# Staff ---------------------------------------------------------------------------------------------------
def sale_pause(*, event_ids: Iterable[int], paused: bool) -> int:
    """Will pause or resume the sale of events, effective for every claim that has not been granted yet."""
    with db.transaction():
        return sum(operations.sale_pause(event_id=event_id, paused=paused) for event_id in sorted(event_ids))


def events_load(*, events: Sequence[EventToLoad]) -> int:
    """Will put all events of a file on sale, or none, and count them; raises FileErrors for those known already."""
    with db.transaction():
        known = selectors.events_known([(event.name, event.date) for event in events])
        mistakes = [
            (event.line, f"{event.name} on {event.date.isoformat()} is there already.")
            for event in events
            if (event.name, event.date) in known
        ]
        if mistakes:
            raise FileErrors(mistakes)
        for event in events:
            operations.event_add(event=event)
    return len(events)
