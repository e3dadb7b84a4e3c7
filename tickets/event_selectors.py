"""Reads that decide what staff may change or delete of an event, and which events a file would add again."""

from collections.abc import Collection
from datetime import datetime

from overlord.shop.selectors import is_logo
from tickets.models import Event, Inventory, Voucher
from tickets.voucher_rules import PriceRule


def is_picture_used(*, name: str) -> bool:
    """Return whether an event shows this picture, or the shop shows it as its logo."""
    return Event.objects.filter(picture=name).exists() or is_logo(name=name)


def event_terms(event_id: int) -> tuple[str, datetime] | None:
    """Return an event's currency and date, or None if there is no such event."""
    return Event.objects.filter(pk=event_id).values_list("currency", "date").first()


def is_reserved(*, event_id: int) -> bool:
    """Return whether tickets of the event were ever reserved."""
    return Inventory.objects.filter(ticket_type__event_id=event_id, reservations__gt=0).exists()


def has_codes_with_amounts(*, event_id: int) -> bool:
    """Return whether a discount code of the event has an amount of money, which is in the event's currency."""
    amounts = (PriceRule.FIXED, PriceRule.LESS)
    return Voucher.objects.filter(event_id=event_id, price_rule__in=amounts).exists()


def is_type_reserved(*, ticket_type: int) -> bool:
    """Return whether tickets of this type were ever reserved."""
    return Inventory.objects.filter(pk=ticket_type, reservations__gt=0).exists()


def events_known(named: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
    """Return which of these pairs of name and date an event already has."""
    found = Event.objects.filter(name__in=[name for name, _ in named]).values_list("name", "date")
    return set(found) & set(named)
