"""The page on which staff cancel an event.

Before the cancellation, the page shows its consequences. Afterwards it shows the progress of the refunds. The page
needs no JavaScript.
"""

from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from checkout import selectors as checkout
from checkout import services
from checkout.cancellation_rules import MESSAGE_LENGTH
from checkout.permissions import Permission
from overlord.accounts.selectors import actor_id
from overlord.box_office import selectors
from overlord.kernel import money, problems
from overlord.kernel.errors import DomainError, NotFound
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import error_messages
from overlord.shop.permissions import staff_with
from tickets.models import Event

RELOAD_SECONDS = 4
PROBLEMS_SHOWN = 200


class CancelForm(forms.Form):
    """The text for buyers, the confirmation, and the version of the event that staff saw."""

    message = forms.CharField(
        label=_lazy("Message to buyers"),
        max_length=MESSAGE_LENGTH,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_lazy(
            "This text is part of the mail to buyers. For example, say why the event is cancelled and"
            " whether there is another date."
        ),
    )
    sure = forms.BooleanField(
        label=_lazy("Cancel this event and refund its orders"), help_text=_lazy("This cannot be undone.")
    )
    version = WholeNumberField(min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput())


@allow("GET", "POST")
@staff_with(Permission.CANCEL_EVENT)
def cancel(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show the consequences of a cancellation, cancel the event, or show the progress of its refunds."""
    event = selectors.event_published(event_id=event_id)
    if request.method != "POST":
        if event.status == Event.Status.CANCELLED:
            return _progress(request, event)
        return _ask(request, event, CancelForm(initial={"version": event.version}))
    form = CancelForm(request.POST)
    if not form.is_valid():
        return _ask(request, event, form, status=HTTPStatus.BAD_REQUEST)
    given = form.cleaned_data
    try:
        services.event_cancel(
            staff_id=actor_id(request),
            event_id=event_id,
            version=given["version"],
            message=given["message"],
        )
    except NotFound:
        raise
    except DomainError as refused:
        event.refresh_from_db()
        form.add_error(None, error_messages.detail_of(refused))
        form.data = {**{name: form.data[name] for name in form.data}, "version": str(event.version)}
        return _ask(request, event, form, status=problems.status_of(refused))
    messages.success(request, _("The event is cancelled. Its orders are being refunded."))
    return redirect("office_cancel", event_id)


@allow("GET", "POST")
@staff_with(Permission.CANCEL_EVENT)
def cancel_retry(request: HttpRequest, event_id: int) -> HttpResponse:
    """Try again all refunds of the event that the gateway refused or that failed later."""
    if request.method == "POST":
        count = services.cancellation_retry(staff_id=actor_id(request), event_id=event_id)
        sentence = ngettext(
            "%(n)s refund is being tried again.", "%(n)s refunds are being tried again.", count
        )
        messages.success(request, sentence % {"n": count})
    return redirect("office_cancel", event_id)


def _ask(request: HttpRequest, event: Event, form: CancelForm, *, status: int = 200) -> HttpResponse:
    cost = checkout.cancellation_cost(event_id=event.pk)
    context = {
        "event": event,
        "form": form,
        "cost": cost,
        "by_gateway": money.to_text(cost["by_gateway_minor"], event.currency),
        "by_hand": money.to_text(cost["by_hand_minor"], event.currency),
        "may_grow": checkout.is_reserved_now(event_id=event.pk),
        "is_on_sale": event.status == Event.Status.ON_SALE,
    }
    return render(request, "box_office/cancel.html", context, status=status)


def _progress(request: HttpRequest, event: Event) -> HttpResponse:
    found = checkout.cancelled_progress(event_id=event.pk)
    rows = [
        {
            "payment": each.payment,
            "refund": each.refund,
            "left": money.to_text(each.payment.left_minor, each.payment.currency),
        }
        for each in checkout.cancelled_problems(event_id=event.pk, most=PROBLEMS_SHOWN)
    ]
    is_going_on = checkout.is_cancelling(event_id=event.pk) or bool(found["in_flight"] or found["to_tell"])
    context = {
        "event": event,
        "found": found,
        "back": money.to_text(found["back_minor"], event.currency),
        "all": money.to_text(found["all_minor"], event.currency),
        "rows": rows,
        "is_going_on": is_going_on,
        "reload_seconds": RELOAD_SECONDS,
    }
    response = render(request, "box_office/cancelling.html", context)
    if is_going_on:
        response["Refresh"] = str(RELOAD_SECONDS)
    return response
