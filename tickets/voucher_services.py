"""Use cases of vouchers, for the organiser's pages.

The event is locked first, so that its currency does not change meanwhile. When a voucher changes, the event gets
its next version. So open pages with the code learn of the change, and ask the server what the code gives now.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import db
from overlord.kernel.errors import Busy, NotFound
from overlord.kernel.texts import CLEAR_LETTERS
from tickets import event_operations, voucher_rules
from tickets.models import Event, TicketType, Voucher
from tickets.voucher_rules import CodeExists, CodeLimitTooLow, CodeOutdated, CodeTooLong, PriceRule

RANDOM_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms that staff give a voucher. Prices and times in the form were read in `currency` and `time_zone`.

    Without `ticket_types`, the voucher is for all types that buyers see.
    """

    currency: str
    time_zone: str
    note: str
    price_rule: PriceRule
    price_value: int
    opens_early: bool
    ticket_types: Collection[int]
    valid_from: datetime | None
    valid_until: datetime | None
    most_uses: int | None

    def columns(self) -> dict[str, Any]:
        """Return the values of the voucher's columns."""
        others = {"ticket_types", "currency", "time_zone"}
        given = {name: value for name, value in vars(self).items() if name not in others}
        return {**given, "all_types": not self.ticket_types}


def vouchers_make(
    *, staff_id: int, event_id: int, text: str, number: int, terms: Terms, key: str, now: datetime
) -> list[str]:
    """Make a voucher with this text, or several, each with random characters after this text; return their texts.

    Without a text, the voucher gets a random one. `key` identifies the form: if a form is sent again unchanged, it
    makes no more random vouchers. Raise NotFound, CodeOutdated, CodeExists, CodeTooLong, or Busy if a random
    text exists already.
    """
    is_random = number > 1 or not text
    texts = _random_texts(text, number, terms, key) if is_random else {text}
    if max(map(len, texts)) > voucher_rules.TEXT_LENGTH:
        raise CodeTooLong()
    refused = Busy() if is_random else CodeExists()
    with db.transaction():
        types = _types(_event_lock(event_id, terms), terms)
        if is_random and Voucher.objects.filter(event_id=event_id, text__in=texts).count() == number:
            return sorted(texts)
        with db.constraint_errors({"voucher_unique_in_event": refused}), db.savepoint():
            made = Voucher.objects.bulk_create(
                [
                    Voucher(event_id=event_id, text=each, created=now, **terms.columns())
                    for each in sorted(texts)
                ]
            )
        _types_set([each.pk for each in made], types)
        _journal(Action.CODES_MADE, staff_id, event_id, now, code=made[0].text, count=len(made))
    return [each.text for each in made]


def _random_texts(text: str, number: int, terms: Terms, key: str) -> set[str]:
    """Return texts made of `text` and random characters. The same form always gets the same texts."""
    texts: set[str] = set()
    nth = 0
    while len(texts) < number:
        nth += 1
        seed = repr((key, text, number, vars(terms), nth))
        random = hashlib.sha256(seed.encode()).digest()[:RANDOM_LENGTH]
        texts.add(text + "".join(CLEAR_LETTERS[byte % len(CLEAR_LETTERS)] for byte in random))
    return texts


def voucher_change(
    *, staff_id: int, event_id: int, voucher_id: int, version: int, terms: Terms, now: datetime
) -> None:
    """Change the terms of a voucher for all later claims; raise NotFound, CodeOutdated or CodeLimitTooLow."""
    with db.transaction():
        types = _types(_event_lock(event_id, terms), terms)
        voucher = _voucher_lock(event_id, voucher_id, version)
        if terms.most_uses is not None and terms.most_uses < voucher.used:
            raise CodeLimitTooLow(used=voucher.used)
        Voucher.objects.filter(pk=voucher.pk).update(**terms.columns(), version=F("version") + 1)
        voucher.ticket_types.clear()
        _types_set([voucher.pk], types)
        event_operations.event_changed(event_id=event_id, now=now)
        _journal(Action.CODE_CHANGED, staff_id, event_id, now, code=voucher.text)


def voucher_end(
    *, staff_id: int, event_id: int, voucher_id: int, version: int, ended: bool, now: datetime
) -> None:
    """End a voucher, or let it be used again; raise NotFound or CodeOutdated. Holds with the voucher stay."""
    with db.transaction():
        _event_lock(event_id)
        voucher = _voucher_lock(event_id, voucher_id, version)
        Voucher.objects.filter(pk=voucher.pk).update(
            ended_at=now if ended else None, version=F("version") + 1
        )
        event_operations.event_changed(event_id=event_id, now=now)
        action = Action.CODE_ENDED if ended else Action.CODE_REOPENED
        _journal(action, staff_id, event_id, now, code=voucher.text)


def _journal(
    action: Action, staff_id: int, event_id: int, now: datetime, *, code: str, count: int = 1
) -> None:
    journal.entry_add(actor_id=staff_id, action=action, event_id=event_id, now=now, code=code, count=count)


def _event_lock(event_id: int, terms: Terms | None = None) -> Event:
    """Lock and return an event; raise NotFound, or CodeOutdated if the currency or time zone has changed."""
    event = event_operations.event_lock(event_id=event_id)
    if event is None:
        raise NotFound()
    if terms is not None and (event.currency, event.time_zone) != (terms.currency, terms.time_zone):
        raise CodeOutdated()
    return event


def _voucher_lock(event_id: int, voucher_id: int, version: int) -> Voucher:
    """Lock and return a voucher, so that claims with it wait; raise NotFound or CodeOutdated."""
    found = Voucher.objects.select_for_update(no_key=True).filter(pk=voucher_id, event_id=event_id).first()
    if found is None:
        raise NotFound()
    if found.version != version:
        raise CodeOutdated()
    return found


def _types(event: Event, terms: Terms) -> list[int]:
    """Return the ids of the chosen ticket types; raise NotFound if one no longer belongs to this event."""
    chosen = TicketType.objects.filter(event=event, pk__in=terms.ticket_types).values_list("pk", flat=True)
    if len(chosen) != len(set(terms.ticket_types)):
        raise NotFound()
    return list(chosen)


def _types_set(vouchers: list[int], types: list[int]) -> None:
    chosen = Voucher.ticket_types.through
    chosen._default_manager.bulk_create(
        [chosen(voucher_id=voucher, tickettype_id=each) for voucher in vouchers for each in types],
        batch_size=2000,
    )
