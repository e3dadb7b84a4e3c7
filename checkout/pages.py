"""The pages of paying: one reservation on its way, and all that is mine. They translate in, make one call, and
translate out."""

import secrets
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from checkout import rules, selectors, services, stages
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, Invalid, NotFound
from overlord.shop import error_messages
from tickets import selectors as tickets
from tickets.models import Reservation

SHOWN = 100  # reservations of mine, the newest
SLOW_AFTER = timedelta(seconds=10)
EXTENSION_OFFERED = 300  # seconds before the end


class PayForm(forms.Form):
    """What the gateway's form gave for the card."""

    token = forms.CharField(max_length=rules.TOKEN_LENGTH)


@require_GET
@login_required
def checkout(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """One reservation of mine: what it is, how long it is held, and how its payment stands."""
    return _checkout_page(request, reservation_id)


@require_POST
@login_required
def pay(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Pays for a reservation; its page shows the outcome."""
    form = PayForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid("Please choose a card.")
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
    mine = Reservation.objects.filter(buyer_id=actor_id(request), pk=reservation_id)
    found = tickets.reservations_described(mine, now=now)
    if not found:
        raise NotFound()
    [reservation] = found
    payment = selectors.payments_by_reservation(reservation_ids=[reservation_id]).get(reservation_id)
    since = reservation["paying_since"]
    stage = stages.stage_of(reservation, payment, now=now)
    context = {
        "reservation": reservation,
        "payment": payment,
        "stage": stage,
        "is_slow": stage == "processing" and since is not None and now - since > SLOW_AFTER,
        "is_free": reservation["total"].strip("0.") == "",
        "offers_extension": reservation["expires_in"] <= EXTENSION_OFFERED,
        "refusal": error_messages.refusal(refused) if refused else None,
        "gateway": settings.PAYMENT_GATEWAY,
        "stripe_key": settings.STRIPE_PUBLISHABLE_KEY,
        "key": secrets.token_urlsafe(12),
        "now": now,
    }
    status = problems.status_of(refused) if refused else 200
    return render(request, "checkout/checkout.html", context, status=status)


@require_GET
@login_required
def me(request: HttpRequest) -> HttpResponse:
    """My reservations: what waits for payment, what is mine, what has ended."""
    now = clock.now()
    newest = Reservation.objects.filter(buyer_id=actor_id(request)).order_by("-id")[:SHOWN]
    reservations = tickets.reservations_described(newest, now=now)
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
