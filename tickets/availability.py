"""Availability as clients read it: from Redis while it is fresh, from PostgreSQL otherwise.

For each event, a hash in Redis keeps the fields that staff edit, and the figures of each ticket type, as versioned
values for 15 minutes. After its commit, every change writes its figures there, unless newer ones are there already.
So the client's next read shows the change. A value is trusted for `TRUSTED_FOR` after it was read in PostgreSQL. If
a process dies between its commit and that write, readers see the old figures while these are trusted. Nothing here
decides a claim.

The module runs in web processes and in workers, on several machines. Their clocks may differ, so a value that is
more than `CLOCK_TOLERANCE` in the future is not trusted either.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from overlord.kernel import money
from overlord.kernel.errors import NotFound
from realtime import publish
from tickets import representation, selectors, voucher_rules
from tickets.representation import Figures
from tickets.voucher_rules import VoucherFacts

TRUSTED_FOR = timedelta(seconds=3)
CLOCK_TOLERANCE = timedelta(seconds=1)
# The name of the field for what staff edit, except the capacity, the times of the sale and the pause. These are
# among the figures of a ticket type. The name of their field is the id of the type.
STATIC = "static"


def versioned_values(
    event_id: int, figures: Iterable[Figures], *, now: datetime
) -> list[publish.VersionedValue]:
    """Return these figures as versioned values to be kept. They were read in PostgreSQL at `now` or later."""
    return [
        _versioned(event_id, str(each.ticket_type), each.version, each.as_plain(), now) for each in figures
    ]


def event_detail(*, event_id: int, now: datetime) -> dict[str, Any]:
    """Return an event as `GET /event/events/<id>/` shows it; raise NotFound."""
    return _cached(event_id, now=now) or refresh([event_id], now=now).get(event_id) or _missing()


def event_preview(*, event_id: int, now: datetime) -> dict[str, Any]:
    """Return an event, even a draft, as it would look on sale; raise NotFound."""
    statics, figures = selectors.events_with_figures([event_id], drafts=True)
    if event_id not in statics:
        _missing()
    on_sale = {pk: replace(each, paused=False) for pk, each in figures[event_id].items()}
    return representation.event_detail(statics[event_id], on_sale, now=now)


def event_with_voucher(*, event_id: int, voucher: VoucherFacts, now: datetime) -> dict[str, Any]:
    """Return an event as a buyer with a voucher sees it, read in PostgreSQL; raise NotFound.

    Ticket types of the voucher have the price with the voucher, and `full_price` is the price without it. If the
    voucher opens them early, they have no opening time. Its hidden types are shown too. Each ticket type of the
    voucher also has `is_hidden`, and `is_early`, which says whether the voucher opens it early.
    """
    statics, figures = selectors.events_with_figures([event_id], hidden=voucher.covers)
    if event_id not in statics:
        _missing()
    covered = set(voucher.covers)
    opened = {
        pk: replace(each, opens_at=None) if voucher.opens_early and pk in covered else each
        for pk, each in figures[event_id].items()
    }
    shown = representation.event_detail(statics[event_id], opened, now=now)
    hidden = {each["id"] for each in statics[event_id]["ticket_types"] if each["hidden"]}
    for ticket in (each for each in shown["tickets"] if each["id"] in covered):
        minor = money.to_minor(ticket["price"], ticket["currency"])
        with_it = voucher_rules.price_with(voucher.price_rule, voucher.price_value, minor)
        ticket |= {
            "full_price": ticket["price"],
            "price": money.to_text(with_it, ticket["currency"]),
            "is_hidden": ticket["id"] in hidden,
            "is_early": voucher.opens_early,
        }
    return shown


def ticket_type_detail(*, ticket_type: int, now: datetime) -> dict[str, Any]:
    """Return a ticket type as `GET /event/tickets/<id>/` shows it; raise NotFound."""
    event_id = selectors.event_of_type(ticket_type)
    tickets = [] if event_id is None else event_detail(event_id=event_id, now=now)["tickets"]
    return next((ticket for ticket in tickets if ticket["id"] == ticket_type), None) or _missing()


def refresh(event_ids: list[int], *, now: datetime) -> dict[int, dict[str, Any]]:
    """Read events in PostgreSQL, keep them for other readers, and return them by id, as clients see them."""
    statics, figures = selectors.events_with_figures(event_ids)
    kept: list[publish.VersionedValue] = []
    for event_id, static in statics.items():
        kept.append(_versioned(event_id, STATIC, static["version"], static, now))
        kept.extend(versioned_values(event_id, figures[event_id].values(), now=now))
    publish.values_keep(values=kept)
    return {
        event_id: representation.event_detail(static, figures[event_id], now=now)
        for event_id, static in statics.items()
    }


def drop(event_id: int) -> None:
    """Delete the kept values of an event that was deleted, or that is a draft again."""
    publish.values_delete(key=_key(event_id))


def _cached(event_id: int, *, now: datetime) -> dict[str, Any] | None:
    """Return an event from the kept values, or None if a part is missing or not trusted.

    Another version of this program may have written the values in another form. Then they count as missing.
    """
    kept = publish.values_read(key=_key(event_id))
    if not kept or STATIC not in kept:
        return None
    try:
        return _from_kept(kept, now=now)
    except (KeyError, TypeError, ValueError):
        return None


def _from_kept(kept: Mapping[str, Any], *, now: datetime) -> dict[str, Any] | None:
    static = kept[STATIC]["value"]
    wanted = [STATIC, *(str(ticket_type["id"]) for ticket_type in static["ticket_types"])]
    if not all(field in kept and _is_trusted(kept[field], now=now) for field in wanted):
        return None
    static["date"] = datetime.fromisoformat(static["date"])
    static["ends_at"] = static["ends_at"] and datetime.fromisoformat(static["ends_at"])
    figures = {int(field): Figures.from_plain(kept[field]["value"]) for field in wanted if field != STATIC}
    return representation.event_detail(static, figures, now=now)


def _is_trusted(kept: Mapping[str, Any], *, now: datetime) -> bool:
    return now - TRUSTED_FOR <= datetime.fromisoformat(kept["seen"]) <= now + CLOCK_TOLERANCE


def _key(event_id: int) -> str:
    return f"event:{event_id}"


def _versioned(event_id: int, field: str, version: int, value: Any, seen: datetime) -> publish.VersionedValue:
    return publish.VersionedValue(
        key=_key(event_id), field=field, version=version, value={"seen": seen, "value": value}
    )


def _missing() -> NoReturn:
    raise NotFound("There is no such event or ticket type.")
