"""The pages of selling: the list of events, one event, and the actions of buyers and staff.

A view translates the request, makes one call, and translates the result.
"""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

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

from overlord.accounts import guests
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, money, problems
from overlord.kernel.csrf import origin_decides
from overlord.kernel.errors import DomainError, Invalid, NotFound, TooMany
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.shop import error_messages, error_pages, formats, searches
from overlord.shop.next_page import is_page
from overlord.shop.permissions import action_of_checkout, staff_with
from overlord.shop.shared_answers import shared
from tickets import (
    availability,
    availability_labels,
    choices,
    event_page,
    event_selectors,
    event_services,
    limits,
    order_services,
    representation,
    rules,
    selectors,
    services,
    voucher_rules,
    voucher_selectors,
)
from tickets.choices import Choice
from tickets.event_page import Code
from tickets.event_rules import EventStatus, SaleState
from tickets.permissions import Permission

EVENTS_SHOWN = 100


# The list of events ----------------------------------------------------------------------------------------------
@allow("GET")
@shared(seconds=1)
def home(request: HttpRequest) -> HttpResponse:
    """List the events that have not begun or still sell tickets by date, filtered by a search and a month."""
    search, month = searches.text_asked(request), _month(request.GET.get("month"))
    asked = {"search": search, "month": month and month[0]}
    # The template keeps the HTML of the list for a second, and calls `programme` only to make it again.
    return render(request, "tickets/home.html", {**asked, "programme": lambda: _programme(search, month)})


def _programme(search: str, month: tuple[date, date] | None) -> dict[str, Any]:
    """Return the template's context of the list: the events by month, and the months to choose from."""
    now = clock.now()
    listed = event_selectors.events_for_buyers(now=now)
    rows = event_selectors.events_next(listed, most=EVENTS_SHOWN, search=search, month=month)
    shown = representation.events_next(rows, now=now)
    return {
        "months": _by_month([_listed(row, event, now=now) for row, event in zip(rows, shown, strict=True)]),
        "more": len(rows) == EVENTS_SHOWN,
        "choices": event_selectors.months_with(listed),
        "now": now,
    }


def _listed(row: Mapping[str, Any], shown: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return an event as a row of the list.

    Its price is that of the ticket types whose sale has not ended, or of all types if all sales have ended.
    """
    sales = [(each, representation.sale(each, now=now)) for each in row["types"]]
    held = sum(each["held"] for each, state in sales if state == SaleState.OPEN)
    priced = [each for each, state in sales if state != SaleState.ENDED] or row["types"]
    return {
        **shown,
        "time_zone": row["time_zone"],
        "price": _price_text([each["ticket_type__price_minor"] for each in priced], row["currency"]),
        "label": availability_labels.of_event(shown, held),
    }


def _price_text(prices: list[int], currency: str) -> str:
    """Return a short text that says what the tickets of an event cost; "" if it has no ticket types."""
    if not prices:
        return ""
    lowest, highest = (
        formats.money(money.to_text(each, currency), currency) for each in (min(prices), max(prices))
    )
    if max(prices) == 0:
        return _("Free")
    if min(prices) == 0:
        return _("Free or up to %(price)s") % {"price": highest}
    return lowest if min(prices) == max(prices) else _("From %(price)s") % {"price": lowest}


def _by_month(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Group events by the month that each has in its own time zone."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        local = event["date"].astimezone(ZoneInfo(event["time_zone"]))
        found[local.year, local.month].append(event)
    return [{"first_day": date(*month, 1), "events": found[month]} for month in sorted(found)]


def _month(text: str | None) -> tuple[date, date] | None:
    """Return the first day of a month such as "2027-01", and that of the next month; None for any other text."""
    try:
        first = date.fromisoformat(f"{text}-01")
        return first, (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    except (ValueError, OverflowError):
        return None


# One event -----------------------------------------------------------------------------------------------
class KeyForm(forms.Form):
    """The key of a form. With it, a form that is sent twice reserves only once.

    A page that is the same for all visitors contains no key: its script makes a random one.
    """

    key = forms.RegexField(r"^[\w-]{1,32}$", required=False)


@allow("GET", "POST")
@origin_decides
@shared(seconds=1)
def event(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show an event with its availability and the form that reserves tickets; take that form."""
    if request.method == "POST":
        return _reserve(request, event_id)
    code = _code_looked_up(request, event_id, _code_text(request.GET))
    return _event_page(request, event_id, choice=choices.read(request.GET), code=code)


def _code_text(given: Mapping[str, str]) -> str:
    return given.get("code", "").replace("\0", "").strip()[: voucher_rules.TEXT_LENGTH]


def _code_looked_up(request: HttpRequest, event_id: int, text: str) -> Code:
    """Look up a code that a visitor entered, and return it. A page without a code costs no query here."""
    if not text:
        return Code()
    try:
        with limits.guesses_counted(request, buyer_id=request.user.pk, code=text):
            found = voucher_rules.check_usable(voucher_selectors.facts(event_id=event_id, text=text))
            voucher_rules.check_left(found, quantity=1)
    except DomainError as refused:
        return Code(text=text, refused=refused)
    return Code(text=text, voucher=found)


def _reserve(request: HttpRequest, event_id: int) -> HttpResponse:
    """Reserve the tickets in the sent form; go to the checkout, or show the page again with the refusal."""
    choice, form = choices.read(request.POST), KeyForm(request.POST)
    text = _code_text(request.POST)
    try:
        if not choice.is_valid or not form.is_valid():
            raise Invalid(_("The number of tickets is not valid. Choose one ticket or more."))
        limits.count_reserve(request, buyer_id=request.user.pk)
        with limits.guesses_counted(request, buyer_id=request.user.pk, code=text or None):
            reserved = _reserved_by(
                request, event_id, choice, key=form.cleaned_data["key"], code=text or None
            )
    except rules.AccountRequired:
        asked = choice.as_query() + (f"&{urlencode({'code': text})}" if text else "")
        back = f"{reverse('event', args=[event_id])}?{asked}"
        return redirect_to_login(back, login_url=reverse("signup"))
    except DomainError as refused:
        is_guess = isinstance(refused, (voucher_rules.CodeUnknown, TooMany))
        code = Code(text=text) if is_guess else _code_looked_up(request, event_id, text)
        return _event_page(request, event_id, choice=choice, code=code, refused=refused)
    return redirect("checkout", reserved)


def _reserved_by(request: HttpRequest, event_id: int, choice: Choice, *, key: str, code: str | None) -> int:
    """Reserve in the visitor's open order or in a new one, as a new guest if needed; return a reservation's id."""
    if request.user.is_authenticated:
        order_id = selectors.open_order(buyer_id=actor_id(request), event_id=event_id, now=clock.now())
        try:
            return _reserved(actor_id(request), choice, key=key, order_id=order_id, code=code)
        except DomainError:
            if order_id is None or not guests.is_guest_of(request, key=key):
                raise
            # This is a second press of the button. The first one made this guest, and a hold without a key.
            if not choice.amounts.items() <= selectors.order_held(order_id=order_id).items():
                raise
            return order_id
    with guests.guest_begin(request, key=key) as (guest, is_again):
        if is_again:
            return _reserved_again(guest.pk, event_id, choice, code=code)
        return _reserved(guest.pk, choice, key="", order_id=None, code=code)


def _reserved_again(buyer_id: int, event_id: int, choice: Choice, *, code: str | None) -> int:
    """Return the id of the order of a guest's first request; if that request failed or still runs, reserve now."""
    order_id = selectors.open_order(buyer_id=buyer_id, event_id=event_id, now=clock.now())
    if order_id is not None:
        return order_id
    try:
        return _reserved(buyer_id, choice, key="", order_id=None, code=code)
    except DomainError:
        order_id = selectors.open_order(buyer_id=buyer_id, event_id=event_id, now=clock.now())
        if order_id is None:
            raise
        return order_id


def _reserved(buyer_id: int, choice: Choice, *, key: str, order_id: int | None, code: str | None) -> int:
    """Reserve the chosen tickets, in the order `order_id` if given; return the id of one new reservation."""
    now = clock.now()
    hold = timedelta(seconds=settings.HOLD_SECONDS)
    full_key = f"page:{_hashed(key)}:{choice.digest()}" if key else None
    if full_key and (earlier := selectors.reservation_row_by_key(buyer_id=buyer_id, key=full_key)):
        return int(earlier["id"])
    wanted = [order_services.Wanted(ticket_type=each, quantity=n) for each, n in choice.amounts.items()]
    if order_id is None and len(wanted) == 1 and code is None:
        reserved = services.reservation_create(
            buyer_id=buyer_id, **vars(wanted[0]), key=full_key, hold=hold, now=now
        )
        return int(reserved.reservation["id"])
    order = order_services.order_claim(
        buyer_id=buyer_id, items=wanted, order_id=order_id, key=full_key, hold=hold, now=now, code=code
    ).order
    return max(int(each["id"]) for each in order["reservations"])


def _hashed(key: str) -> str:
    """Return a hash of a form's key. The key itself finds a guest, so the database must not contain it."""
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _event_page(
    request: HttpRequest,
    event_id: int,
    *,
    choice: Choice,
    code: Code,
    refused: DomainError | None = None,
    preview: bool = False,
) -> HttpResponse:
    now = clock.now()
    # The draft's version is read before the event. If an edit comes in between, the version is old and is refused.
    draft = event_services.draft(event_id=event_id, now=now) if preview else None
    if code.voucher is not None:
        shown = availability.event_with_voucher(event_id=event_id, voucher=code.voucher, now=now)
    else:
        read = availability.event_preview if preview else availability.event_detail
        shown = read(event_id=event_id, now=now)
    own = _own_reservations(request, event_id, now=now)
    context = event_page.shown(shown, own=own, choice=choice, code=code, refused=refused)
    context |= {"key": secrets.token_urlsafe(12), "is_preview": preview, "draft": draft, "now": now}
    # A page without personal parts is made once a second for all logged-in buyers, as for visitors.
    is_personal = own or choice.amounts or code.text or refused or preview
    context["is_kept"] = not is_personal and request.user.is_authenticated and not request.user.is_staff
    response = error_pages.page_of_view(request, "tickets/event.html", context, refused=refused)
    if code.refused is not None:
        problems.retry_after_add(response, code.refused)
    return response


def _own_reservations(request: HttpRequest, event_id: int, *, now: datetime) -> list[dict[str, Any]]:
    """Return the buyer's live and paid reservations of an event, without holds that are due."""
    if not request.user.is_authenticated:
        return []
    return selectors.own_reservations_in_event(buyer_id=actor_id(request), event_id=event_id, now=now)


# Actions of a buyer -------------------------------------------------------------------------------------
@allow("GET", "POST")
@login_required
def release(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Ask whether to release the buyer's hold, then do so."""
    if request.method != "POST":
        now = clock.now()
        order = selectors.order_described(buyer_id=actor_id(request), reservation_id=reservation_id, now=now)
        hold = next((each for each in order if each["id"] == reservation_id), None)
        if hold is None:
            raise NotFound()
        return render(request, "tickets/release.html", {"hold": hold, "reservation_id": reservation_id})
    try:
        services.reservation_release(buyer_id=actor_id(request), reservation_id=reservation_id)
    except (rules.PaymentInProgress, rules.AlreadyValidated, rules.ReservationEnded) as refused:
        messages.warning(request, error_messages.of_error(refused).title)
        return redirect("checkout", reservation_id)
    messages.success(request, _("Your tickets were released. You were not charged."))
    order = selectors.order_described(
        buyer_id=actor_id(request), reservation_id=reservation_id, now=clock.now()
    )
    rest = [each["id"] for each in order if each["state"] in rules.LIVE_STATES]
    return redirect("checkout", rest[0]) if rest else redirect("me")


class AmountForm(forms.Form):
    """The new number of tickets of a hold."""

    amount = WholeNumberField(min_value=0, max_value=rules.LARGEST_AMOUNT)


@allow("GET", "POST")
@action_of_checkout
def resize(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Change how many tickets the buyer's hold has; if the number is 0, ask whether to release the hold."""
    form = AmountForm(request.POST)
    if not form.is_valid():
        messages.warning(request, _("The number of tickets is not valid. Nothing was changed."))
        return redirect("checkout", reservation_id)
    if form.cleaned_data["amount"] == 0:
        return redirect("release", reservation_id)
    buyer_id = actor_id(request)
    limits.count_change(request, buyer_id=buyer_id)
    try:
        services.reservation_resize(
            buyer_id=buyer_id, reservation_id=reservation_id, quantity=form.cleaned_data["amount"]
        )
    except NotFound:
        raise
    except DomainError as refused:
        message = error_messages.of_error(refused)
        messages.warning(request, f"{message.title} {_('Nothing was changed.')}")
    return redirect("checkout", reservation_id)


@allow("GET", "POST")
@action_of_checkout
def extend(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Extend the buyer's hold."""
    buyer_id = actor_id(request)
    limits.count_change(request, buyer_id=buyer_id)
    try:
        services.reservation_extend(buyer_id=buyer_id, reservation_id=reservation_id)
    except rules.NotExtendable as refused:
        messages.warning(request, error_messages.of_error(refused).title)
    return redirect("checkout", reservation_id)


# Staff ---------------------------------------------------------------------------------------------------
@allow("GET")
@staff_with(Permission.MANAGE_EVENTS)
def preview(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show a draft as buyers would see it on sale."""
    return _event_page(request, event_id, choice=choices.read(request.GET), code=Code(), preview=True)


@allow("GET", "POST")
@staff_with(Permission.PAUSE_SALE)
def sale(request: HttpRequest, event_id: int) -> HttpResponse:
    """Ask whether to pause or resume the sale of an event, then do so."""
    now = clock.now()
    shown = availability.event_detail(event_id=event_id, now=now)
    given = request.POST.get("next", "") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(given, allowed_hosts=None) and is_page(given)
    back = given if is_ours else reverse("monitor")
    if shown["status"] == EventStatus.CANCELLED:
        messages.warning(
            request, _("%(event)s was cancelled. Nothing was changed.") % {"event": shown["name"]}
        )
        return redirect(back)
    if request.method != "POST":
        is_paused = selectors.is_paused(event_id=event_id, now=now)
        stay = event_selectors.types_that_stay_paused(event_id=event_id, now=now)
        context = {"event": shown, "is_paused": is_paused, "stay": stay, "back": back}
        return render(request, "tickets/sale.html", context)
    paused = request.POST.get("paused") == "yes"
    services.sale_pause(staff_id=actor_id(request), event_ids=[event_id], paused=paused, now=now)
    messages.success(request, _sale_sentence(shown["name"], event_id, paused=paused, now=now))
    return redirect(back)


def _sale_sentence(name: str, event_id: int, *, paused: bool, now: datetime) -> str:
    """Return what was done to the sale of an event, and which ticket types stay paused although it was resumed."""
    if paused:
        return _("Ticket sales for %(event)s are paused.") % {"event": name}
    done = _("Ticket sales for %(event)s have resumed.") % {"event": name}
    stay = event_selectors.types_that_stay_paused(event_id=event_id, now=now)
    if not stay:
        return done
    still = _("These ticket types were paused one by one and stay paused: %(names)s.")
    return f"{done} {still % {'names': ', '.join(stay)}}"
