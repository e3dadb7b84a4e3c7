"""The content of an event's page: its ticket types, the reader's own tickets, a code, and a refusal."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.urls import reverse

from overlord.kernel import money
from overlord.kernel.errors import DomainError
from overlord.shop import error_messages, look, pictures
from tickets import (
    availability_labels,
    own_tickets,
    rules,
    structured_data,
    voucher_labels,
    voucher_selectors,
)
from tickets.choices import Choice
from tickets.event_rules import EventStatus, SaleState
from tickets.voucher_rules import VoucherFacts


@dataclass(frozen=True, kw_only=True)
class Code:
    """A code that a visitor entered: its effect, or why it has none."""

    text: str = ""
    voucher: VoucherFacts | None = None
    refused: DomainError | None = None


def shown(
    event: dict[str, Any],
    *,
    own: list[dict[str, Any]],
    choice: Choice,
    code: Code,
    refused: DomainError | None,
) -> dict[str, Any]:
    """Return the template's context: the event, the reader's own reservations, the choice, and the refusal.

    The newer facts of a refusal are written into `event`. Some parts of the page may be in the template's cache.
    Their values are callables, which run only if needed.
    """
    known, about = _known_by_refusal(refused), _refused_type(choice, refused)
    for ticket in event["tickets"]:
        if known and ticket["id"] == about:
            ticket.update(known)

    @cache
    def rows() -> list[dict[str, Any]]:
        alone = len(event["tickets"]) == 1
        return [
            _type_row(ticket, event["time_zone"], choice=choice, own=own, alone=alone)
            for ticket in event["tickets"]
        ]

    def total() -> str:
        chosen = sum(row["minor"] for row in rows() if row["can_reserve"])
        return money.to_text(chosen, event["currency"])

    return {
        "event": event,
        "picture": pictures.shown(event["picture"]),
        "social": cache(lambda: None if code.text else _social(event)),
        **_code_shown(code, event),
        "is_cancelled": event["status"] == EventStatus.CANCELLED,
        "types": rows,
        "has_own": bool(own),
        "can_reserve": lambda: any(row["can_reserve"] for row in rows()),
        "total": total,
        "chosen": choice,
        **_refusal(refused, event=event, choice=choice, known=known, about=about),
    }


def _refusal(
    refused: DomainError | None,
    *,
    event: Mapping[str, Any],
    choice: Choice,
    known: Mapping[str, Any],
    about: int | None,
) -> dict[str, Any]:
    """Return a refusal for the template: its sentences, and the facts for the page's script."""
    names = {ticket["id"]: ticket["ticket_type"] for ticket in event["tickets"]}
    facts = None
    if known and about in choice.amounts:
        asked = {"available": None, "sale": SaleState.OPEN, "amount": choice.amounts[about]}
        facts = {**asked, **known}
    return {
        "error": error_messages.of_error(refused, time_zone=event["time_zone"]) if refused else None,
        "about": about,
        "about_name": names.get(about or 0, ""),
        "refused": facts,
        "own_reservation": refused.facts.get("reservation") if refused else None,
    }


def _code_shown(code: Code, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context about a code: its effect, or why it has none, and whether the page takes codes."""
    gives, error = "", None
    if code.voucher is not None:
        gives = voucher_labels.gives(code.voucher, currency=event["currency"])
    if code.refused is not None:
        error = error_messages.of_error(code.refused, time_zone=event["time_zone"])
    return {
        "code": code.text,
        "code_gives": gives,
        "code_until": code.voucher.valid_until if code.voucher else None,
        # The event's `version` is a sum. Minus the versions of the inventories, it rises only with edits by staff.
        # live-event.js compares this number.
        "edits": event["version"] - sum(ticket["version"] for ticket in event["tickets"]),
        "code_error": error,
        "takes_codes": lambda: bool(code.text) or voucher_selectors.are_there(event_id=event["id"]),
    }


def _social(shown: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an event's page for search engines and social networks."""
    base = settings.BASE_URL
    url = f"{base}{reverse('event', args=[shown['id']])}"
    facts = structured_data.event(shown, url=url, base_url=base, organiser=look.current().seller)
    image = shown["picture"] and f"{base}{shown['picture']}"
    return {"url": url, "image": image, "facts": structured_data.as_json(facts)}


def _refused_type(choice: Choice, refused: DomainError | None) -> int | None:
    """Return the id of the ticket type that a refusal is about, or None."""
    if refused is None:
        return None
    if "ticket_type" in refused.facts:
        return int(refused.facts["ticket_type"])
    if choice.malformed:
        return choice.malformed[0]
    return choice.types[0] if len(choice.types) == 1 else None


def _known_by_refusal(refused: DomainError | None) -> dict[str, Any]:
    """Return the fields of a ticket type whose values a refusal contains. They are newer than those of the page."""
    facts = refused.facts if refused else {}
    match refused:
        case rules.SoldOut():
            return {"available": 0, "held": 0}
        case rules.AllHeld():
            return {"available": 0, "held": 1, "next_release_at": facts.get("next_release_at")}
        case rules.NotEnough():
            return {"available": facts["available"]}
        case rules.SaleNotOpen():
            return {"sale": SaleState.UPCOMING, "opens_at": facts.get("opens_at")}
        case rules.SaleEnded():
            return {"sale": SaleState.ENDED}
        case rules.SalePaused():
            return {"sale": SaleState.PAUSED}
        case rules.LineFirst():
            return {"sale": SaleState.LINE}
    return {}


def _type_row(
    ticket: dict[str, Any], zone: str, *, choice: Choice, own: list[dict[str, Any]], alone: bool
) -> dict[str, Any]:
    mine = own_tickets.of_type(own, ticket["id"])
    most = own_tickets.can_choose(mine, ticket["max_per_user"])
    amount = choice.amounts.get(ticket["id"], 1 if alone else 0)
    minor = money.to_minor(ticket["price"], ticket["currency"])
    return {
        "ticket": ticket,
        "label": availability_labels.of_ticket_type(ticket, zone),
        "can_reserve": most > 0 and availability_labels.can_reserve(ticket),
        "is_chosen": ticket["id"] in choice.types,
        "amount": amount,
        "minor": minor * amount,
        "has_other_price": ticket.get("full_price", ticket["price"]) != ticket["price"],
        "own": mine,
        "own_json": json.dumps(asdict(mine)),
        "live_text": own_tickets.live_text(mine),
        "limit_text": own_tickets.limit_text(mine, ticket["max_per_user"]),
        "most": max(1, most),
    }
