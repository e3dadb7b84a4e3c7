"""Use cases of orders: several ticket types of one event, claimed all or none in one statement."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import IntegrityError

from overlord.kernel import db
from overlord.kernel.errors import Busy, DomainError, Mismatch, NotFound
from overlord.kernel.steps import step_log
from overlord.kernel.texts import name_key
from tickets import (
    limits,
    projections,
    representation,
    rules,
    selectors,
    services,
    sold_out_cache,
    sql,
    voucher_rules,
    voucher_selectors,
)
from tickets.representation import Figures
from tickets.rules import ReservationState, SeveralEvents, UnknownTicketType
from tickets.voucher_rules import VoucherFacts


class ClaimRequest(StrEnum):
    """The kind of request by which a buyer claims tickets.

    An idempotency key belongs to one request, and so to one kind.
    """

    ONE = "one"
    BATCH = "batch"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A number of tickets of one type."""

    ticket_type: int
    quantity: int


@dataclass(frozen=True, kw_only=True)
class Ordered:
    """An order as clients see it. `replayed` tells whether an earlier request with the same key had claimed it."""

    order: dict[str, Any]
    replayed: bool


def order_claim(
    *,
    buyer_id: int,
    items: Sequence[Wanted],
    order_id: int | None,
    key: str | None,
    hold: timedelta,
    now: datetime,
    code: str | None = None,
    request: ClaimRequest = ClaimRequest.BATCH,
) -> Ordered:
    """Hold all items for the buyer or none, in one autocommitted statement.

    The items become a new order, which is held for the time of `hold`. With `order_id`, they are added to this
    unpaid order of the buyer, and held as long as the order is. `code` is the text of a voucher. Tickets of the
    types that the voucher covers get its price and its rights.

    Raise Invalid, SeveralEvents, Mismatch if the key was used for something else, Busy if other requests were
    quicker three times, or what `rules.buyer_refusal` returns. For the order, raise NotFound or what
    `rules.check_addable` raises. For the code, raise the errors of `voucher_rules`. For the first refused ticket
    type, raise UnknownTicketType or what `rules.refusal` returns, with `ticket_type` among the facts.
    """
    rules.check_items([item.ticket_type for item in items])
    if key is None:
        for item in items:
            with _naming(item.ticket_type):
                sold_out_cache.recall(ticket_type=item.ticket_type)
    for _ in range(services.CLAIM_ATTEMPTS):
        try:
            rows, refused = _claim(buyer_id, items, order_id, key, hold, code, request)
        except DomainError:
            if key is None or not selectors.reservation_row_by_key(buyer_id=buyer_id, key=key):
                raise
            rows, refused = [], None  # this repeats a request that was granted before
        if rows:
            _claims_log(rows, buyer_id)
            known = rows if order_id is None else selectors.order_rows(order_id=order_id)
            return Ordered(order=representation.order(known, now=rows[0]["created"]), replayed=False)
        if key is not None and (earlier := selectors.reservation_row_by_key(buyer_id=buyer_id, key=key)):
            return _replay(earlier, items=items, order_id=order_id, code=code, request=request, now=now)
        _diagnose(buyer_id, items, order_id, refused, code)
    raise Busy()


def _claims_log(rows: Sequence[dict[str, Any]], buyer_id: int) -> None:
    for row in rows:
        facts = {"order": row["lead_id"] or row["id"], "quantity": row["quantity"], "buyer": buyer_id}
        step_log("reservation_claimed", reservation=row["id"], ticket_type=row["ticket_type_id"], **facts)


def reservation_claim(
    *, buyer_id: int, item: Wanted, code: str, key: str | None, hold: timedelta, now: datetime
) -> services.Reserved:
    """Hold tickets of one type with a code, as an order of their own; raise what `order_claim` raises."""
    ordered = order_claim(
        buyer_id=buyer_id,
        items=[item],
        order_id=None,
        key=key,
        hold=hold,
        now=now,
        code=code,
        request=ClaimRequest.ONE,
    )
    own = next(each for each in ordered.order["reservations"] if each["ticket_type"] == item.ticket_type)
    return services.Reserved(reservation=own, replayed=ordered.replayed)


def _claim(
    buyer_id: int,
    items: Sequence[Wanted],
    order_id: int | None,
    key: str | None,
    hold: timedelta,
    code: str | None,
    request: ClaimRequest,
) -> tuple[list[dict[str, Any]], int | None]:
    """Try the claim once and announce it. Return its reservations and None.

    If it was not granted, return an empty list, and the first refused ticket type, or None if that is not known.
    """
    wanted = {
        "buyer": buyer_id,
        "ticket_type": items[0].ticket_type,
        "ticket_types": [item.ticket_type for item in items],
        "quantities": [item.quantity for item in items],
        "order": order_id,
        "key": key,
        "voucher": code,
        "request": request,
    }
    text = sql.CLAIM_ORDER if code is None else sql.CLAIM_WITH_VOUCHER
    try:
        granted = db.statement(text, {**wanted, **limits.of_buyer(), "hold_seconds": hold.total_seconds()})
    except IntegrityError as error:
        services.buyer_refused(error)
        return [], None  # another request of this buyer was quicker
    if not granted or granted[0]["refused"] is not None:
        return [], granted[0]["refused"] if granted else None
    projections.announce(
        figures=[(row["event"], Figures.from_row(row)) for row in granted],
        buyers=[buyer_id],
        now=granted[0]["created"],
    )
    return [_as_row(row) for row in granted], None


def _as_row(row: dict[str, Any]) -> dict[str, Any]:
    """Convert a row that the claim returned into a row like those of `selectors.reservation_rows`."""
    same = (
        "lead_id",
        "quantity",
        "unit_price_minor",
        "discount_minor",
        "currency",
        "created",
        "expires_at",
    )
    return {
        **{name: row[name] for name in same},
        "voucher__text": row["voucher"],
        "id": row["reservation_id"],
        "ticket_type_id": row["ticket_type"],
        "event_id": row["event"],
        "ended_at": None,
        "state": ReservationState.HELD,
        "version": 1,
    }


def _replay(
    earlier: dict[str, Any],
    *,
    items: Sequence[Wanted],
    order_id: int | None,
    code: str | None,
    request: ClaimRequest,
    now: datetime,
) -> Ordered:
    """Return the order of an earlier request with this key; raise Mismatch if this request is another one."""
    made_in = earlier["lead_id"] or earlier["id"]
    made = selectors.order_claimed_at(order_id=made_in, created=earlier["created"])
    if earlier["key_of_batch"] not in (None, request == ClaimRequest.BATCH):
        raise Mismatch()
    if earlier["lead_id"] != order_id or made != {item.ticket_type: item.quantity for item in items}:
        raise Mismatch()
    used = voucher_selectors.texts_used_at(order_id=made_in, created=earlier["created"])
    if {name_key(each) for each in used} != ({name_key(code)} if code is not None else set()):
        raise Mismatch()
    db.commits_await()
    rows = selectors.order_rows(order_id=made_in)
    return Ordered(order=representation.order(rows, now=now), replayed=True)


def _diagnose(
    buyer_id: int, items: Sequence[Wanted], order_id: int | None, refused: int | None, code: str | None
) -> None:
    """Raise the reason why a claim was not granted, or release the due holds that prevented it.

    If `refused` is known, the ticket types before it were not the reason, and are not checked again.
    """
    types = [item.ticket_type for item in items]
    found = selectors.events_of_types(types)
    for ticket_type in types:
        if ticket_type not in found:
            raise UnknownTicketType(ticket_type=ticket_type)
    events = set(found.values())
    if order_id is not None:
        members = selectors.order_states(buyer_id=buyer_id, order_id=order_id, now=db.now())
        if not members:
            raise NotFound()
        rules.check_addable(members, adding=len(items))
        events.add(selectors.order_rows(order_id=order_id)[0]["event_id"])
    if len(events) > 1:
        raise SeveralEvents(errors={"items": [SeveralEvents.sentence]})
    voucher = None if code is None else _voucher_diagnose(events.pop(), code, items)
    asked = items if refused is None else items[types.index(refused) :]
    for item in asked:
        with _naming(item.ticket_type):
            services.claim_diagnose(
                buyer_id=buyer_id, ticket_type=item.ticket_type, quantity=item.quantity, voucher=voucher
            )


def _voucher_diagnose(event_id: int, code: str, items: Sequence[Wanted]) -> VoucherFacts:
    """Return the facts of a code that may be used for these items, or raise the reason why not.

    If due holds use up the code, they are released here, so that the next claim may be granted.
    """
    found = voucher_selectors.facts(event_id=event_id, text=code)
    facts = voucher_rules.check_usable(found)
    covered = [item for item in items if item.ticket_type in facts.covers]
    if not covered:
        if not voucher_selectors.are_shown([item.ticket_type for item in items]):
            raise UnknownTicketType()
        raise voucher_rules.CodeNotForType()
    quantity = sum(item.quantity for item in covered)
    voucher_rules.check_left(facts, quantity=quantity)
    if facts.left is not None and facts.left < quantity:
        for ticket_type in facts.due_holds:
            services.due_holds_release(ticket_type=ticket_type)
    return facts


@contextmanager
def _naming(ticket_type: int) -> Iterator[None]:
    """Add the ticket type to the facts of an error that the block raises."""
    try:
        yield
    except DomainError as refused:
        refused.facts["ticket_type"] = ticket_type
        raise
