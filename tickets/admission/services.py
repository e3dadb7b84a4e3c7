"""Use cases of tickets: read them with their codes, renew links and keys. Transactions open here."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from tickets import selectors as tickets
from tickets.admission import codes, keys, links, operations, projections, representation, rules, selectors
from tickets.admission.models import Key
from tickets.admission.rules import TicketState
from tickets.admission.selectors import Reach


def tickets_get(*, buyer_id: int, reservation_id: int, now: datetime) -> list[dict[str, Any]]:
    """Return the tickets of one of the buyer's paid reservations; raise NotFound, or what `check_paid` raises."""
    reservation = tickets.reservation_row(buyer_id=buyer_id, reservation_id=reservation_id)
    if reservation is None:
        raise NotFound()
    rules.check_paid(reservation["state"], ended_at=reservation["ended_at"])
    rows = selectors.tickets_of(reservation_ids=[reservation_id])
    return tickets_coded(rows, now=now)


def tickets_of_link(*, signed: str, now: datetime) -> list[dict[str, Any]]:
    """Return the tickets of a link as `tickets_of_order` does; raise NotFound if there are none."""
    reach = selectors.reach_of_link(signed)
    found = tickets_of_order(reach=reach, now=now)
    if not found:
        raise NotFound()
    return found


def tickets_live(*, signed: str, now: datetime) -> dict[str, Any] | None:
    """Return the state of a link's tickets as its stream shows it, or None if the link has no tickets."""
    content = links.stream_read(signed)
    return projections.project_tickets([content], now=now).get(content) if content is not None else None


def tickets_of_order(*, reach: Reach, now: datetime) -> list[dict[str, Any]]:
    """Return the tickets of an order that are within reach, with their codes and the fields for pages.

    There are none if the order is not paid, or if the reach is that of a former holder, whose ticket was handed
    over to somebody else. Besides the API's fields, each has those of `selectors.tickets_of_order`, its number `n`
    in the order, and `of`, how many tickets the order has.
    """
    rows = selectors.tickets_of_order(order_id=reach.order_id)
    numbered = [{**row, "n": n, "of": len(rows)} for n, row in enumerate(rows, start=1)]
    wanted = [row for row in numbered if reach.has(ticket_id=row["id"], issue=row["issue"])]
    coded = tickets_coded(wanted, now=now, as_holder=reach.only is not None)
    return [{**row, **shown} for row, shown in zip(wanted, coded, strict=True)]


def order_link_renew(*, buyer_id: int, reservation_id: int) -> None:
    """Replace the link to the tickets of one of the buyer's orders; the earlier one ends. Raise NotFound."""
    order_id = tickets.order_id_of(buyer_id=buyer_id, reservation_id=reservation_id)
    if order_id is None:
        raise NotFound()
    with db.transaction():
        operations.order_link_renew(order_id=order_id)


def tickets_coded(
    rows: Iterable[Mapping[str, Any]], *, now: datetime, as_holder: bool = False
) -> list[dict[str, Any]]:
    """Return tickets (rows of `selectors.tickets_of`) as clients see them, with codes unless they are revoked.

    Only its holder sees the code of a ticket that was handed over.
    """
    signing: dict[int, Key] = {}
    shown = []
    for row in rows:
        code = None
        if row["state"] != TicketState.REVOKED and (as_holder or not row["handed_to"]):
            event_id = row["event_id"]
            if event_id not in signing:
                signing[event_id] = signing_key(event_id=event_id, now=now)
            code = code_of(row, key=signing[event_id])
        shown.append(representation.ticket(row, code=code))
    return shown


def code_of(row: Mapping[str, Any], *, key: Key) -> str:
    """Return the code of a ticket, signed by a key that `signing_key` returned."""
    content = codes.Content(key=key.pk, event=row["event_id"], ticket=row["id"], issue=row["issue"])
    return codes.code_sign(content, keys.private_key(bytes(key.salt)))


def signing_key(*, event_id: int, now: datetime) -> Key:
    """Return the key that signs an event's codes; make one if no key can sign.

    Two requests at the same time may make two keys. Codes of both are valid.
    """
    for key in selectors.keys_of(event_id=event_id):
        if key.retired_at is None and keys.public_key(bytes(key.salt)) == bytes(key.public_key):
            return key
    with db.transaction():
        return operations.key_make(event_id=event_id, now=now)


def key_rotate(*, event_id: int, retire: bool, now: datetime) -> Key:
    """Sign an event's codes by a new key from now on. With `retire`, codes of the earlier keys end.

    Raise NotFound if there is no such event.
    """
    if tickets.event_time_zone(event_id) is None:
        raise NotFound()
    with db.transaction():
        if retire:
            operations.keys_retire(event_id=event_id, now=now)
        journal.entry_add(actor_id=None, action=Action.KEY_ROTATED, event_id=event_id, now=now)
        return operations.key_make(event_id=event_id, now=now)
