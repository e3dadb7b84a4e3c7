"""The pages of selling: the list of events, one event, and the actions of buyers and staff.

A view translates the request, makes one call, and translates the result.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, money, problems
from overlord.kernel.errors import DomainError, Invalid
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.shop import error_messages
from overlord.shop.permissions import staff_only
from tickets import availability, availability_labels, representation, rules, selectors, services

EVENTS_SHOWN = 100


# The list of events ----------------------------------------------------------------------------------------------
@allow("GET")
def home(request: HttpRequest) -> HttpResponse:
    """List the upcoming events by date, filtered by a search and a month."""
    now = clock.now()
    search, month = request.GET.get("q", "").strip()[:100].replace("\0", ""), _month(request.GET.get("month"))
    rows = selectors.events_next(most=EVENTS_SHOWN, now=now, search=search, month=month)
    context = {
        "events": [_listed(row, shown) for row, shown in zip(rows, _shown(rows, now), strict=True)],
        "more": len(rows) == EVENTS_SHOWN,
        "months": [datetime(m.year, m.month, 1, tzinfo=UTC) for m in selectors.months_with_events(now=now)],
        "month": month and month[0],
        "search": search,
        "now": now,
    }
    return render(request, "tickets/home.html", context)


def _shown(rows: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    return representation.events_next(rows, now=now)


def _listed(row: Mapping[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    prices = [each["ticket_type__price_minor"] for each in row["types"]]
    return {
        **shown,
        "currency": row["currency"],
        "price": money.to_text(min(prices), row["currency"]) if prices else None,
        "is_free": 0 in prices,
        "varies": len(set(prices)) > 1,
        "label": availability_labels.of_event(shown),
    }


def _month(text: str | None) -> tuple[datetime, datetime] | None:
    """Return the instants at which the month "2027-01" begins and ends, or None for anything else."""
    try:
        first = date.fromisoformat(f"{text}-01")
        following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    except (ValueError, OverflowError):
        return None
    return datetime(first.year, first.month, 1, tzinfo=UTC), datetime(
        following.year, following.month, 1, tzinfo=UTC
    )


# One event -----------------------------------------------------------------------------------------------
class ChoiceForm(forms.Form):
    """The ticket type and the number of tickets that a buyer chose."""

    ticket_type = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    amount = WholeNumberField(min_value=1, max_value=rules.LARGEST_AMOUNT)


class ReserveForm(ChoiceForm):
    """A choice, and the key by which a form that is submitted twice reserves once."""

    key = forms.RegexField(r"^[\w-]{1,24}$")


@allow("GET", "POST")
def event(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show an event with its availability and the form that reserves tickets, or take that form."""
    if request.method == "POST":
        return _reserve(request, event_id)
    choice = ChoiceForm(request.GET)
    return _event_page(request, event_id, chosen=choice.cleaned_data if choice.is_valid() else {})


def _reserve(request: HttpRequest, event_id: int) -> HttpResponse:
    form = ReserveForm(request.POST)
    chosen = (
        form.cleaned_data if form.is_valid() else {"ticket_type": _digits(request.POST.get("ticket_type"))}
    )
    if not request.user.is_authenticated:
        kept = {name: chosen[name] for name in ("ticket_type", "amount") if chosen.get(name)}
        return redirect_to_login(f"{reverse('event', args=[event_id])}?{urlencode(kept)}")
    try:
        reservation = _reserved(request, form)
    except DomainError as refused:
        return _event_page(request, event_id, chosen=chosen, refused=refused)
    return redirect("checkout", reservation["id"])


def _reserved(request: HttpRequest, form: ReserveForm) -> dict[str, Any]:
    if not form.is_valid():
        raise Invalid(_("The number of tickets is not valid. Choose one ticket or more."))
    wanted = form.cleaned_data
    return services.reservation_create(
        buyer_id=actor_id(request),
        ticket_type=wanted["ticket_type"],
        quantity=wanted["amount"],
        key=f"page:{wanted['key']}:{wanted['ticket_type']}:{wanted['amount']}",
        hold=timedelta(seconds=settings.HOLD_SECONDS),
        now=clock.now(),
    ).reservation


def _digits(text: str | None) -> int | None:
    try:
        return whole_number(text, least=1, most=LARGEST_ID)
    except ValueError:
        return None


def _event_page(
    request: HttpRequest, event_id: int, *, chosen: Mapping[str, Any], refused: DomainError | None = None
) -> HttpResponse:
    now = clock.now()
    shown = availability.event_detail(event_id=event_id, now=now)
    mine = _own_holds(request, event_id)
    context = {
        "event": shown,
        "types": [_type_row(ticket, chosen=chosen, mine=mine) for ticket in shown["tickets"]],
        "chosen": chosen,
        "error": error_messages.of_error(refused) if refused else None,
        "own_reservation": refused.facts.get("reservation") if refused else None,
        "key": secrets.token_urlsafe(12),
        "now": now,
    }
    response = render(
        request, "tickets/event.html", context, status=problems.status_of(refused) if refused else 200
    )
    if refused and "retry_after" in refused.facts:
        response["Retry-After"] = str(refused.facts["retry_after"])
    return response


def _own_holds(request: HttpRequest, event_id: int) -> dict[int, dict[str, Any]]:
    if not request.user.is_authenticated:
        return {}
    return selectors.live_reservations_in_event(buyer_id=actor_id(request), event_id=event_id)


def _type_row(
    ticket: dict[str, Any], *, chosen: Mapping[str, Any], mine: Mapping[int, dict[str, Any]]
) -> dict[str, Any]:
    is_chosen = chosen.get("ticket_type") == ticket["id"]
    amount = (chosen.get("amount") if is_chosen else None) or 1
    minor = money.to_minor(ticket["price"], ticket["currency"])
    return {
        "ticket": ticket,
        "label": availability_labels.of_ticket_type(ticket),
        "can_reserve": availability_labels.can_reserve(ticket),
        "is_chosen": is_chosen,
        "amount": amount,
        "total": money.to_text(minor * amount, ticket["currency"]),
        "is_free": minor == 0,
        "mine": mine.get(ticket["id"]),
    }


# Actions of a buyer -------------------------------------------------------------------------------------
@allow("POST")
@login_required
def release(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Release the buyer's hold."""
    try:
        services.reservation_release(buyer_id=actor_id(request), reservation_id=reservation_id)
    except (rules.PaymentInProgress, rules.AlreadyValidated, rules.ReservationEnded) as refused:
        messages.warning(request, error_messages.of_error(refused).title)
        return redirect("checkout", reservation_id)
    messages.success(request, _("Your tickets were released. You were not charged."))
    return redirect("me")


@allow("POST")
@login_required
def extend(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Extend the buyer's hold."""
    try:
        services.reservation_extend(buyer_id=actor_id(request), reservation_id=reservation_id)
    except rules.NotExtendable as refused:
        messages.warning(request, error_messages.of_error(refused).title)
    return redirect("checkout", reservation_id)


# Staff ---------------------------------------------------------------------------------------------------
@allow("GET", "POST")
@staff_only
def sale(request: HttpRequest, event_id: int) -> HttpResponse:
    """Ask whether to pause or resume the sale of an event, then do so."""
    shown = availability.event_detail(event_id=event_id, now=clock.now())
    if request.method == "GET":
        return render(
            request,
            "tickets/sale.html",
            {"event": shown, "is_paused": shown["sale"] == rules.SaleState.PAUSED},
        )
    paused = request.POST.get("paused") == "yes"
    services.sale_pause(event_ids=[event_id], paused=paused, now=clock.now())
    text = (
        _("Ticket sales for %(event)s are paused.")
        if paused
        else _("Ticket sales for %(event)s have resumed.")
    )
    messages.success(request, text % {"event": shown["name"]})
    back = request.POST.get("next", "")
    return redirect(back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else "monitor")
