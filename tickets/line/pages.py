"""The page of a line: enter it, see your place, leave it.

It works without JavaScript, and then reloads regularly.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.accounts import guests
from overlord.accounts.models import User
from overlord.accounts.operations import EmailHasAccount
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock
from overlord.kernel.csrf import origin_decides
from overlord.kernel.errors import DomainError, Invalid, NotFound
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.kernel.texts import EMAIL_LENGTH
from overlord.shop import error_messages, error_pages
from tickets import availability, choices, limits, rules
from tickets import selectors as tickets
from tickets.choices import Choice
from tickets.event_rules import SaleState
from tickets.line import labels, projections, selectors, services
from tickets.line.rules import EntryOutdated, EntryState, Items, Phase

RELOAD_SECONDS = 20
WISHES = "line_wishes"  # the key in a session: wishes that wait for a mailed code or for a log-in
guests.register_kept(WISHES)
SECOND = "second_"  # the names of the second choice's fields begin with this
# The fields that refusals are about, by the codes of the refusals.
WRONG_FIELDS = {"email_has_account": "email", "address_in_line": "email", "wrong_email_code": "code"}


class AddressForm(forms.Form):
    """The e-mail address to which the shop sends a code. With this code a guest enters the line."""

    email = forms.EmailField(
        max_length=EMAIL_LENGTH,
        error_messages={
            "required": _lazy("Enter your e-mail address."),
            "invalid": _lazy("This is not an e-mail address. Enter one such as name@example.org."),
        },
    )


@allow("GET", "POST")
@origin_decides
def line(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show the line of an event and the visitor's place in it; take the forms that enter and leave the line."""
    if request.method != "POST":
        return _page(request, event_id)
    try:
        if "leave" in request.POST:
            if request.user.is_authenticated:
                services.entry_leave(event_id=event_id, buyer_id=actor_id(request))
        elif "code" in request.POST:
            _prove(request, event_id)
        else:
            _enter(request, event_id)
    except rules.AccountRequired:
        if "code" not in request.POST:  # with a code, the session has the wish already
            _keep_wish(request, event_id, _choices(request.POST))
        return redirect(f"{reverse('signup')}?next={reverse('line', args=[event_id])}")
    except NotFound:
        # The visitor does not wait in this line. If there is no such event, the call below raises NotFound again.
        availability.event_detail(event_id=event_id, now=clock.now())
    except DomainError as refused:
        return _page(request, event_id, refused=refused)
    return redirect("line", event_id)


def _enter(request: HttpRequest, event_id: int) -> None:
    wished = _choices(request.POST)
    if guests.is_verified(request):
        _make_or_change(request, event_id, actor_id(request), wished)
    else:
        _ask_for_address(request, event_id, wished)


def _make_or_change(request: HttpRequest, event_id: int, buyer_id: int, wished: list[Items]) -> None:
    """Enter a person in the line. If the form has the number of an entry, change the wish of that entry.

    The page may be older than the person's turn. If the person has a live hold from the line, nothing is entered,
    and the page then shows this hold. The session forgets a wish unless the line refuses it.
    """
    limits.count_reserve(request, buyer_id=buyer_id)
    asked: dict[str, Any] = {"event_id": event_id, "buyer_id": buyer_id, "now": clock.now()}
    if "entry" in request.POST:
        services.entry_change(number=_number(request.POST["entry"]), choices=wished, **asked)
    elif not selectors.is_given(**asked):
        services.entry_make(choices=wished, **asked)
    _forget_wish(request, event_id)


def _number(written: str) -> int:
    try:
        return whole_number(written, least=1, most=LARGEST_ID)
    except ValueError:
        raise EntryOutdated() from None


def _ask_for_address(request: HttpRequest, event_id: int, wished: list[Items]) -> None:
    """Mail a code to the address in the form, and keep the wish in the session until the code is entered.

    If the address is that of an account, keep the wish until its owner has logged in.
    """
    services.entry_check(event_id=event_id, choices=wished, now=clock.now())
    form = AddressForm(request.POST)
    if not form.is_valid():
        field, sentences = next(iter(form.errors.items()))
        raise Invalid(str(sentences[0]), errors={field: sentences})
    try:
        _mail_code(request, form.cleaned_data["email"])
    except EmailHasAccount:
        _keep_wish(request, event_id, wished)
        raise
    _keep_wish(request, event_id, wished)


def _mail_code(request: HttpRequest, email: str) -> None:
    if isinstance(request.user, User):
        guests.email_ask(request, guest=request.user, email=email)
        return
    with guests.guest_begin(request) as (guest, _is_again):
        guests.email_ask(request, guest=guest, email=email)


def _prove(request: HttpRequest, event_id: int) -> None:
    """Check the code of the mail, and enter the guest with the wish that the session keeps.

    A guest may send this form again after the address was verified: because no answer came, or from another tab.
    Then the code is not checked.
    """
    if not guests.is_verified(request):
        guests.email_prove(request, guest_id=request.user.pk or 0, code=request.POST["code"])
    if wished := _kept_wish(request, event_id):
        _make_or_change(request, event_id, actor_id(request), wished)


def _kept_wish(request: HttpRequest, event_id: int) -> list[Items]:
    """Return the choices that the session keeps for an event's line, or an empty list."""
    kept = request.session.get(WISHES, {}).get(str(event_id), [])
    return [[(ticket_type, quantity) for ticket_type, quantity in choice] for choice in kept]


def _keep_wish(request: HttpRequest, event_id: int, wished: list[Items]) -> None:
    request.session[WISHES] = {**request.session.get(WISHES, {}), str(event_id): wished}


def _forget_wish(request: HttpRequest, event_id: int) -> None:
    kept = request.session.get(WISHES, {})
    if str(event_id) in kept:
        request.session[WISHES] = {event: wish for event, wish in kept.items() if event != str(event_id)}


def _choices(data: QueryDict) -> list[Items]:
    """Return the first choice and, if there is one, the second; raise Invalid if a number is not valid."""
    first = choices.read(data)
    second = choices.read(_second(data))
    if not first.is_valid or second.malformed:
        raise Invalid(_("The number of tickets is not valid. Choose one ticket or more."))
    return [list(each.amounts.items()) for each in (first, second) if each.amounts]


def _page(request: HttpRequest, event_id: int, *, refused: DomainError | None = None) -> HttpResponse:
    now = clock.now()
    event = availability.event_detail(event_id=event_id, now=now)
    if event["opening"] != rules.Opening.DRAW:
        return redirect("event", event_id)
    # `shown` and `live` are read before the entry, so that a hold that is given in between is new to the script.
    shown = projections.line_shown(event_id=event_id, now=now)
    live = _live(request, event_id)
    entry = _entry(request, event_id)
    kept = _kept_wish(request, event_id)
    awaits_code = kept and "again" not in request.GET and not guests.is_verified(request)
    wished = _wished(
        request, kept, entry if entry is not None and entry["state"] == EntryState.WAITING else None
    )
    closes_at = shown["closes_at"]
    has_ended = shown["cancelled"] or (closes_at is not None and closes_at <= now)
    context = {
        "event": event,
        "line": shown,
        "live": live,
        **_own(entry, shown, event, has_ended=has_ended),
        "has_ended": has_ended,
        "draw_text": labels.draw_text(shown, event["time_zone"]) if shown["phase"] == Phase.LOBBY else "",
        "asks_address": not guests.is_verified(request),
        "address": request.POST.get("email", "") or guests.email_asked(request),
        "sent_to": guests.email_asked(request) if awaits_code else "",
        "may_enter": not has_ended and (shown["phase"] != Phase.CLOSED or event["sale"] == SaleState.LINE),
        "types": [
            {
                "ticket": ticket,
                "amount": wished[0].amounts.get(ticket["id"], 0),
                "second": wished[1].amounts.get(ticket["id"], 0),
            }
            for ticket in event["tickets"]
        ],
        **_refusal(refused, event),
        "reload_seconds": RELOAD_SECONDS,
        "lobby_minutes": settings.LOBBY_MINUTES,
        "now": now,
    }
    return error_pages.page_of_view(request, "line/line.html", context, refused=refused)


def _refusal(refused: DomainError | None, event: dict[str, Any]) -> dict[str, Any]:
    """Return the template's context of a refusal: its sentences, its ticket type, and the field it is about."""
    if refused is None:
        return {}
    names = {ticket["id"]: ticket["ticket_type"] for ticket in event["tickets"]}
    field = next(iter(refused.facts.get("errors", ())), "")
    return {
        "error": error_messages.of_error(refused, time_zone=event["time_zone"]),
        "about_name": names.get(refused.facts.get("ticket_type"), "") if len(names) > 1 else "",
        "wrong": WRONG_FIELDS.get(refused.code, field),
    }


def _live(request: HttpRequest, event_id: int) -> str:
    """Return the ids of the visitor's live reservations of an event, for the script."""
    if not request.user.is_authenticated:
        return ""
    mine = tickets.own_reservations_in_event(buyer_id=actor_id(request), event_id=event_id, now=clock.now())
    live = sorted(int(each["id"]) for each in mine if each["state"] in rules.LIVE_STATES)
    return " ".join(map(str, live))


def _own(
    entry: dict[str, Any] | None, line: dict[str, Any], event: dict[str, Any], *, has_ended: bool
) -> dict[str, Any]:
    """Return the template's context about the visitor's own entry; empty if there is none."""
    if entry is None:
        return {}
    state, place = entry["state"], entry["place"]
    given = entry["reservations"] if state == EntryState.GIVEN else []
    held = [each for each in given if each["state"] in rules.LIVE_STATES]
    is_waiting = state == EntryState.WAITING and not has_ended
    is_next = (place or 0) > line["served"]
    # If tickets are being paid for at this moment, the money is refunded later. The page of their order says so.
    is_in_vain = line["cancelled"] and {each["state"] for each in held} == {rules.ReservationState.HELD}
    is_over = is_in_vain or (state == EntryState.WAITING and has_ended)
    return {
        "entry": entry,
        "held": held[0] if held else None,
        "is_given": bool(held) and not is_in_vain,
        "is_paid": bool(given) and not held,
        "is_passed": state == EntryState.PASSED,
        "is_expired": state == EntryState.GIVEN and not given,
        "is_waiting": is_waiting,
        "may_leave": state == EntryState.WAITING,
        "is_in_draw": place is None and (line["drawn"] is None or entry["number"] <= line["drawn"]),
        "is_limited": _is_limited(entry, event),
        "ended_text": labels.ended_text(line["cancelled"]) if is_over else "",
        "place_text": labels.waiting_text(line, place, event["time_zone"]) if is_waiting else "",
        "time_text": labels.wait_text(entry["seconds"]) if is_waiting and is_next else "",
        "reason_text": labels.reason_text(line) if is_waiting and is_next else "",
    }


def _is_limited(entry: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether staff lowered a limit below what this person wishes, or wished when the turn came."""
    limits = {ticket["id"]: ticket["max_per_user"] for ticket in event["tickets"]}
    given = {each["ticket_type"] for each in entry["reservations"]}
    return any(
        item["amount"] > limits.get(item["ticket_type"], item["amount"])
        for choice in (entry["items"], entry["second"])
        if not given or given == {item["ticket_type"] for item in choice}
        for item in choice
    )


def _entry(request: HttpRequest, event_id: int) -> dict[str, Any] | None:
    """Return the visitor's entry, or None. This counts as a look at the tickets that were given."""
    if not request.user.is_authenticated:
        return None
    try:
        return services.entry_get(event_id=event_id, buyer_id=actor_id(request), now=clock.now())
    except NotFound:
        return None


def _wished(request: HttpRequest, kept: list[Items], entry: dict[str, Any] | None) -> tuple[Choice, Choice]:
    """Return the two choices that the form shows: the sent ones, else the entry's, else those in the session."""
    if request.method == "POST" and "code" not in request.POST:
        return choices.read(request.POST), choices.read(_second(request.POST))
    if entry is not None:
        return _as_choice(entry["items"]), _as_choice(entry["second"])
    first, second = (Choice(amounts=dict(each)) for each in (*kept, [], [])[:2])
    return first, second


def _as_choice(items: list[dict[str, int]]) -> Choice:
    return Choice(amounts={item["ticket_type"]: item["amount"] for item in items})


def _second(data: QueryDict) -> dict[str, str]:
    """Return the fields of the second choice, under the names of the first."""
    return {name.removeprefix(SECOND): str(data.get(name, "")) for name in data if name.startswith(SECOND)}
