"""The pages of paying: the checkout of a reservation, and My tickets.

A view translates the request, makes one call, and translates the result.
"""

import secrets
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from checkout import rules, selectors, services, stages
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, Invalid, NotFound
from overlord.kernel.methods import allow
from overlord.shop import error_messages
from overlord.shop.permissions import action_of_checkout
from tickets import selectors as tickets

SHOWN = 100  # the buyer's newest reservations
SLOW_AFTER = timedelta(seconds=10)
EXTENSION_OFFERED = 300  # seconds before a hold expires


class PayForm(forms.Form):
    """The token of the card, from the gateway's form."""

    token = forms.CharField(max_length=rules.TOKEN_LENGTH)


@allow("GET")
@login_required
def checkout(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Show a reservation of the buyer's, the time left to pay, and the status of its payment."""
    return _checkout_page(request, reservation_id)


@allow("GET", "POST")
@action_of_checkout
def pay(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Pay for a reservation; the checkout page shows the outcome."""
    form = PayForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid(_("Please choose a card."))
        services.reservation_pay(
            buyer_id=actor_id(request),
            reservation_id=reservation_id,
            gateway=settings.PAYMENT_GATEWAY,
            token=form.cleaned_data["token"],
        )
    except NotFound:
        raise
    except DomainError as refused:
        return _checkout_page(request, reservation_id, refused=refused)
    return redirect("checkout", reservation_id)


def _checkout_page(
    request: HttpRequest, reservation_id: int, *, refused: DomainError | None = None
) -> HttpResponse:
    now = clock.now()
    reservation = tickets.reservation_described(
        buyer_id=actor_id(request), reservation_id=reservation_id, now=now
    )
    if reservation is None:
        raise NotFound()
    payment = selectors.payments_by_reservation(reservation_ids=[reservation_id]).get(reservation_id)
    since = reservation["paying_since"]
    stage = stages.stage_of(reservation, payment, now=now)
    context = {
        "reservation": reservation,
        "payment": payment,
        "stage": stage,
        "is_slow": stage == "processing" and since is not None and now - since > SLOW_AFTER,
        "is_free": reservation["total"].strip("0.") == "",
        "slow_after": int(SLOW_AFTER.total_seconds()),
        "offers_extension": reservation["expires_in"] <= EXTENSION_OFFERED,
        "extension_offered": EXTENSION_OFFERED,
        "error": error_messages.of_error(refused) if refused else None,
        "gateway": settings.PAYMENT_GATEWAY,
        "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
        "card": request.GET.get("card", ""),
        "key": secrets.token_urlsafe(12),
        "now": now,
    }
    status = problems.status_of(refused) if refused else 200
    return render(request, "checkout/checkout.html", context, status=status)


@allow("GET")
@login_required
def me(request: HttpRequest) -> HttpResponse:
    """Show the buyer's reservations: waiting for payment, paid, and ended."""
    now = clock.now()
    reservations = tickets.reservations_described(buyer_id=actor_id(request), most=SHOWN, now=now)
    payments = selectors.payments_by_reservation(reservation_ids=[each["id"] for each in reservations])
    for each in reservations:
        each["stage"] = stages.stage_of(each, payments.get(each["id"]), now=now)
    context = {
        "waiting": _in_stages(reservations, "held", "failed", "processing"),
        "paid": _in_stages(reservations, "paid"),
        "ended": _in_stages(reservations, "expired", "released", "refunding", "refunded"),
        "now": now,
    }
    return render(request, "checkout/me.html", context)


def _in_stages(reservations: list[dict[str, Any]], *wanted: stages.Stage) -> list[dict[str, Any]]:
    return [each for each in reservations if each["stage"] in wanted]
