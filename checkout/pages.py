"""The pages of paying: the checkout, My tickets, and the page on which staff put tickets back on sale.

A view translates the request, calls services and selectors, and translates the result.
"""

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout import limits, rules, selectors, services, stages
from checkout.stages import Stage
from overlord.accounts import guests
from overlord.accounts.models import User
from overlord.accounts.operations import EmailHasAccount
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, money, texts
from overlord.kernel.errors import DomainError, Invalid, NotFound
from overlord.kernel.form_fields import OneLineField, WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import error_messages, error_pages, languages
from overlord.shop.permissions import action_of_checkout, staff_with
from tickets import selectors as tickets
from tickets.line import operations as line
from tickets.models import Reservation
from tickets.permissions import Permission

SHOWN = 100  # the most reservations on My tickets, the newest ones
SLOW_AFTER = timedelta(seconds=10)  # of a payment; then the page says that it takes longer than usual
EXTENSION_OFFERED = 300  # seconds before a hold expires; from then on the page offers more time


class PayForm(forms.Form):
    """The token of the card, from the gateway's form, the contact of a guest, and what the page showed."""

    # Only the gateway's script fills it in: without a token, this script did not run.
    token = forms.CharField(
        max_length=rules.TOKEN_LENGTH,
        error_messages={
            "required": _lazy(
                "The field for your card did not load. You were not charged. If your browser blocks"
                " content, allow it on this page. Then try again."
            )
        },
    )
    email = forms.EmailField(max_length=texts.EMAIL_LENGTH, required=False)
    name = OneLineField(max_length=texts.PERSON_NAME_LENGTH, required=False)
    price = forms.CharField(max_length=money.TEXT_LENGTH, required=False)
    calendar_version = WholeNumberField(min_value=0, max_value=LARGEST_ID, required=False)  # of the event


@allow("GET")
@login_required
def checkout(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Show one of the buyer's reservations, the time left to pay, and the status of its payment.

    If the order could not follow from its guest to the account at the log-in, try again now.
    """
    guest_id = guests.former_guest_id(request)
    if guest_id is not None:
        _follow(request, reservation_id, guest_id=guest_id)
    return _checkout_page(request, reservation_id)


def _follow(request: HttpRequest, reservation_id: int, *, guest_id: int) -> None:
    """Give the order to the account if it is the guest's. If that is refused, show the reason on the page."""
    try:
        services.order_follow(guest_id=guest_id, buyer_id=actor_id(request), reservation_id=reservation_id)
    except NotFound:
        return
    except DomainError as refused:
        messages.warning(request, error_messages.of_error(refused).title)


@allow("GET", "POST")
@action_of_checkout
def pay(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Pay for a reservation; the checkout page shows the outcome."""
    form = PayForm(request.POST)
    try:
        if not form.is_valid():
            field, sentences = next(iter(form.errors.items()))
            raise Invalid(str(sentences[0]), errors={field: sentences})
        given = form.cleaned_data
        limits.count_pay(request, buyer_id=actor_id(request))
        services.reservation_pay(
            buyer_id=actor_id(request),
            reservation_id=reservation_id,
            gateway=settings.PAYMENT_GATEWAY,
            token=given["token"],
            contact=rules.contact(
                email=given["email"],
                name=given["name"] if "name" in form.data else None,  # accounts are not asked for a name
            ),
            price=given["price"] or None,
            calendar_version=given["calendar_version"],
            language=languages.of_request(request),
        )
    except NotFound:
        raise
    except DomainError as refused:
        return _checkout_page(request, reservation_id, refused=refused)
    return redirect("checkout", reservation_id)


def _checkout_page(
    request: HttpRequest, reservation_id: int, *, refused: DomainError | None = None
) -> HttpResponse:
    """Return the checkout page of a reservation's order, with the reason if an action was refused."""
    now = clock.now()
    order = tickets.order_described(buyer_id=actor_id(request), reservation_id=reservation_id, now=now)
    if not order:
        raise NotFound()
    order_id = order[0]["order"]
    payments = selectors.payments_by_order(order_ids=[order_id])
    payment = payments.get(order_id)
    for each in order:
        each["stage"] = stages.stage_of(each, payment, now=now)
    reservation, lines = _shown_of(order, asked=reservation_id)
    if reservation["stage"] == Stage.HELD:
        line.orders_looked_at(buyer_id=actor_id(request), orders=[order_id], now=now)
    total = _total(order, payment)
    since = reservation["paying_since"]
    stage = reservation["stage"]
    context = {
        "reservation": reservation,
        "lines": lines,
        "code": next((each["code"] for each in lines if "code" in each), ""),
        "total": total,
        "payment_error": _(payment["error"]) if payment and payment["error"] else "",
        "error_sentences": {each: _(each) for each in rules.ERRORS},
        "action": payment["requires_action"] if payment else None,
        "refunded": _refunded(order_id) if stage == Stage.PAID else None,
        "stage": stage,
        "is_cancelled": reservation["event_is_cancelled"],
        "is_slow": stage == Stage.PROCESSING and since is not None and now - since > SLOW_AFTER,
        "is_free": total.strip("0.") == "",
        "slow_after": int(SLOW_AFTER.total_seconds()),
        "offers_extension": reservation["expires_in"] <= EXTENSION_OFFERED,
        "extension_offered": EXTENSION_OFFERED,
        "error": error_messages.of_error(refused) if refused else None,
        "wrong": _wrong_field(refused),
        "gateway": settings.PAYMENT_GATEWAY,
        "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
        "card": request.POST.get("token") or request.GET.get("card", ""),
        "contact": _contact_shown(request),
        "has_account": isinstance(refused, EmailHasAccount),
        "key": secrets.token_urlsafe(12),
        "versions": {
            **_versions(order, payments),
            "held": {
                each["id"]: each["amount"] for each in order if each["state"] == rules.ReservationState.HELD
            },
        },
        "now": now,
    }
    return error_pages.page_of_view(request, "checkout/checkout.html", context, refused=refused)


def _wrong_field(refused: DomainError | None) -> str:
    """Return the name of the field that a refusal is about, or an empty text."""
    if isinstance(refused, rules.EmailRequired | EmailHasAccount):
        return "email"
    return next(iter(refused.facts.get("errors", ())), "") if refused else ""


def _shown_of(
    order: list[dict[str, Any]], *, asked: int | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the reservation that an order's page is about, and the reservations that the page lists.

    Reservations that have ended are not listed, unless all have ended. The page is about `asked` if it is listed,
    and otherwise about the first listed one.
    """
    lines = [each for each in order if "ended_at" not in each] or order
    return next((each for each in lines if each["id"] == asked), lines[0]), lines


def _total(order: list[dict[str, Any]], payment: dict[str, Any] | None) -> str:
    """Return the price of an order, as a decimal string: that of its payment, if it has one.

    Without a payment it is the sum of the reservations that have not ended, or of all if all have ended.
    """
    if payment is not None:
        return str(payment["full_price"])
    left = [each for each in order if "ended_at" not in each] or order
    return money.total((each["total"] for each in left), order[0]["currency"])


def _refunded(order_id: int) -> str | None:
    """Return how much of a paid order was or is being refunded, as a decimal string; None if nothing was."""
    payment = selectors.payment_charged(order_id=order_id)
    if payment is None or not payment.refunded_minor:
        return None
    return money.to_text(payment.refunded_minor, payment.currency)


def _contact_shown(request: HttpRequest) -> dict[str, str] | None:
    """Return a guest's `email` and `name`, as just typed or as given before; None for an account.

    Both are empty if staff have entered the address, and the guest has not proven it.
    """
    user = request.user
    if not isinstance(user, User) or not user.is_guest:
        return None
    user.refresh_from_db(fields=["contact_email", "contact_name", "contact_by_staff"])
    return {name: request.POST.get(name, value) for name, value in user.known_contact.items()}


@allow("GET")
@login_required
def me(request: HttpRequest) -> HttpResponse:
    """Show the buyer's orders: waiting for payment, paid, and ended."""
    now = clock.now()
    orders: dict[int, list[dict[str, Any]]] = {}
    reservations = tickets.reservations_described(buyer_id=actor_id(request), most=SHOWN, now=now)
    for each in reservations:
        orders.setdefault(each["order"], []).insert(0, each)
    payments = selectors.payments_by_order(order_ids=orders.keys())
    shown = []
    for order_id, order in orders.items():
        payment = payments.get(order_id)
        reservation, lines = _shown_of(order)
        stage = stages.stage_of(reservation, payment, now=now)
        row = {**reservation, "lines": lines, "sum": _total(order, payment), "stage": stage}
        shown.append({**row, "content": repr(row)})  # the key under which the template caches the row
    held = [each["order"] for each in shown if each["stage"] == Stage.HELD]
    line.orders_looked_at(buyer_id=actor_id(request), orders=held, now=now)
    paid = _in_stages(shown, Stage.PAID)
    context = {
        "mail": _mail_shown(request, paid),
        "waiting": _in_stages(shown, Stage.HELD, Stage.FAILED, Stage.UNANSWERED, Stage.PROCESSING),
        "paid": paid,
        "ended": _in_stages(shown, Stage.EXPIRED, Stage.RELEASED, Stage.REFUNDING, Stage.REFUNDED),
        "versions": _versions(reservations, payments),
        "now": now,
    }
    return render(request, "checkout/me.html", context)


def _mail_shown(request: HttpRequest, paid: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return whether a guest got the links to all paid orders by mail (`is_sent`), and at which address (`to`).

    Return None for an account, for a guest without a paid order, or if one of these mails could not be delivered.
    """
    contact = _contact_shown(request)
    if contact is None or not paid:
        return None
    mails = selectors.receipts_counted(order_ids=[each["order"] for each in paid])
    if mails["sent"] + mails["to_send"] < len(paid):
        return None
    return {"to": contact["email"], "is_sent": not mails["to_send"]}


def _versions(
    reservations: list[dict[str, Any]], payments: dict[int, dict[str, Any]]
) -> dict[str, dict[int, Any] | int]:
    """Return the versions of the rows on a page, so that its script sees which rows of a frame are newer.

    In the result, `reservations` has the version of each reservation, and `payments` has the id and the version of
    the latest payment of each order. My tickets does not show reservations with ids up to `left_out`; there the
    argument `reservations` has the newest first.
    """
    return {
        "reservations": {each["id"]: each["version"] for each in reservations},
        "payments": {order_id: [each["id"], each["version"]] for order_id, each in payments.items()},
        "left_out": reservations[-1]["id"] - 1 if len(reservations) == SHOWN else 0,
    }


def _in_stages(orders: list[dict[str, Any]], *wanted: Stage) -> list[dict[str, Any]]:
    return [each for each in orders if each["stage"] in wanted]


# Staff ---------------------------------------------------------------------------------------------------
class ReturnForm(forms.Form):
    """The reservation whose tickets go back on sale."""

    reservation = WholeNumberField(min_value=1, max_value=LARGEST_ID, label=_lazy("Reservation number"))


@allow("GET", "POST")
@staff_with(Permission.RETURN_TICKETS)
def return_tickets(request: HttpRequest) -> HttpResponse:
    """Let staff find a reservation, show it, and put its tickets back on sale."""
    form = ReturnForm(request.POST or request.GET or None)
    context: dict[str, Any] = {"form": form}
    if not form.is_valid():
        return render(request, "checkout/return.html", context, status=400 if form.is_bound else 200)
    reservation_id = form.cleaned_data["reservation"]
    if request.method == "POST":
        try:
            services.reservation_return(staff_id=actor_id(request), reservation_id=reservation_id)
        except (rules.NotReturnable, rules.RefundFirst) as refused:
            messages.warning(request, error_messages.detail_of(refused))
        else:
            messages.success(
                request, _("The tickets of reservation %(n)s are back on sale.") % {"n": reservation_id}
            )
        return redirect(f"{request.path}?{urlencode({'reservation': reservation_id})}")
    reservation = (
        Reservation.objects.select_related("buyer", "ticket_type__event").filter(pk=reservation_id).first()
    )
    if reservation is None:
        form.add_error("reservation", _("There is no reservation with this number."))
        return render(request, "checkout/return.html", context, status=404)
    return render(request, "checkout/return.html", {**context, **_return_facts(reservation)})


def _return_facts(reservation: Reservation) -> dict[str, Any]:
    """Return the facts that staff see before they put tickets back on sale, and the reason if they cannot."""
    payment = selectors.payment_charged(order_id=reservation.order_id)
    returned = rules.is_returned(state=reservation.state, was_validated=reservation.validated_at is not None)
    reason, is_refund_first = None, False
    try:
        rules.check_returnable(
            state=reservation.state,
            total_minor=reservation.total_minor,
            payment_status=payment.status if payment else None,
        )
    except DomainError as refused:
        reason = _("These tickets are back on sale.") if returned else error_messages.detail_of(refused)
        is_refund_first = isinstance(refused, rules.RefundFirst)
    return {
        "reservation": reservation,
        "total": money.to_text(reservation.total_minor, reservation.currency),
        "payment": payment,
        "paid": payment and money.to_text(payment.amount_minor, payment.currency),
        "refunded": payment and money.to_text(payment.refunded_minor, payment.currency),
        "reason": reason,
        "is_refund_first": is_refund_first,
    }
