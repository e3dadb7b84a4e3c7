"""The organiser's pages of orders: find an order, see its history, and change or refund it.

The views decide nothing: each reads the request, calls services of other apps, and shows the result.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout import history, rules, services
from checkout import selectors as checkout
from checkout.models import Payment
from checkout.order_rules import NOTE_LENGTH
from checkout.permissions import Permission
from overlord.accounts.selectors import actor_id
from overlord.box_office import selectors
from overlord.kernel import money, texts
from overlord.kernel.errors import DomainError, NotFound
from overlord.kernel.form_fields import OneLineField, WholeNumberField, wrong
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import error_messages, searches
from overlord.shop.permissions import staff_with
from tickets import voucher_labels
from tickets.models import Reservation

SEARCH_LENGTH = 200


class AddressForm(forms.Form):
    """A guest's new e-mail address and name, and the address and name that staff saw."""

    before = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    name_before = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    email = forms.EmailField(
        label=_lazy("E-mail address"),
        max_length=texts.EMAIL_LENGTH,
        help_text=_lazy("If you change the address, links in earlier mails no longer work."),
    )
    name = OneLineField(label=_lazy("Name"), max_length=texts.PERSON_NAME_LENGTH, required=False)


class NoteForm(forms.Form):
    text = forms.CharField(
        label=_lazy("Note"),
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_lazy("Only staff see this note. It is kept with the order."),
    )


class ElsewhereForm(forms.Form):
    """A note by staff that says how the money of a failed refund was paid back without the gateway."""

    text = forms.CharField(
        label=_lazy("How the money was refunded"),
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_lazy(
            "For example, the number of the refund or dispute. This text is kept with the order."
        ),
    )
    version = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False, widget=forms.HiddenInput())


class RefundForm(forms.Form):
    """The amount to refund, and whether to return the tickets. The admin has its own form for the same."""

    amount = forms.CharField(
        label=_lazy("Amount"),
        required=False,
        help_text=_lazy("Leave this field empty to refund the full remaining amount."),
    )
    return_tickets = forms.BooleanField(
        label=_lazy("Put the tickets back on sale"),
        required=False,
        help_text=_lazy("Possible only if you refund the full remaining amount."),
    )
    version = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False, widget=forms.HiddenInput())

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency

    def clean_amount(self) -> int | None:
        text = self.cleaned_data["amount"]
        try:
            return money.written_to_minor(text, self.currency) if text else None
        except ValueError as error:
            raise forms.ValidationError(wrong(error)) from None


@allow("GET")
@staff_with(Permission.MANAGE_ORDERS)
def orders(request: HttpRequest) -> HttpResponse:
    """Find orders."""
    search = searches.text_asked(request, most=SEARCH_LENGTH)
    rows = [
        {**found, "paid": _paid(found.get("payment")), "state": _state(found)}
        for found in selectors.orders_found(search=search)
    ]
    return render(request, "box_office/orders.html", {"rows": rows, "search": search})


def _paid(payment: Payment | None) -> str | None:
    """Return what was charged for an order, as a decimal string; None if nothing was. Refunds do not change it."""
    if payment is None or payment.status not in rules.CHARGED:
        return None
    return money.to_text(payment.amount_minor, payment.currency)


def _state(found: dict[str, Any]) -> dict[str, str]:
    """Return the label of an order: a tone and a text."""
    payment, states = found.get("payment"), found["states"]
    if payment is not None and payment.status == Payment.Status.REFUNDED:
        return {"tone": "ended", "text": _("Refunded")}
    if Reservation.State.VALIDATED in states:
        is_part = found["back_minor"] > 0
        return {"tone": "few" if is_part else "open", "text": _("Partly refunded") if is_part else _("Paid")}
    if Reservation.State.PAYING in states:
        return {"tone": "upcoming", "text": _("Payment in progress")}
    if Reservation.State.HELD in states:
        return {"tone": "held", "text": _("Reserved")}
    return {"tone": "ended", "text": _("Ended")}


@allow("GET")
@staff_with(Permission.MANAGE_ORDERS)
def order(request: HttpRequest, order_id: int) -> HttpResponse:
    """Show an order with its history."""
    return _page(request, order_id)


def _page(
    request: HttpRequest, order_id: int, *, status: int = 200, **forms_sent: forms.Form
) -> HttpResponse:
    lines = selectors.order(order_id=order_id)
    if not lines:
        raise NotFound()
    buyer = lines[0].buyer
    payment = checkout.payment_charged(order_id=order_id)
    is_paid = payment is not None and payment.status == Payment.Status.SUCCESS
    states = {each.state for each in lines}
    back_minor = checkout.paid_back_minor(payment=payment) if payment else 0
    found = {"payment": payment, "states": states, "back_minor": back_minor}
    known = {"email": buyer.contact_email, "name": buyer.contact_name}
    known |= {"before": buyer.contact_email, "name_before": buyer.contact_name}
    context = {
        "order_id": order_id,
        "lines": [
            {
                "line": each,
                "total": money.to_text(each.total_minor, each.currency),
                "code": voucher_labels.used(each),
            }
            for each in lines
        ],
        "event": lines[0].ticket_type.event,
        "buyer": buyer,
        "state": _state(found),
        "payment": payment,
        "paid": _paid(payment),
        "refunded": payment and money.to_text(back_minor, payment.currency),
        "tickets": selectors.tickets(order_id=order_id),
        "history": history.order_history(order_id=order_id),
        "is_held": Reservation.State.HELD in states,
        "is_paid": is_paid,
        "has_tickets": is_paid and checkout.has_tickets_to_send(order_id=order_id),
        "is_refused": payment is not None and checkout.refund_refused(payment=payment) is not None,
        "address": AddressForm(initial=known) if buyer.is_guest else None,
        "note": NoteForm(),
        **forms_sent,
    }
    return render(request, "box_office/order.html", context, status=status)


def _do(request: HttpRequest, order_id: int, deed: Callable[[], object], sentence: str) -> HttpResponse:
    """Do an action on an order, then redirect to the order. Show `sentence` there, or the reason of a refusal."""
    try:
        deed()
    except NotFound:
        raise
    except DomainError as refused:
        messages.warning(request, error_messages.detail_of(refused))
    else:
        messages.success(request, sentence)
    return redirect("office_order", order_id)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_ORDERS)
def order_mail(request: HttpRequest, order_id: int) -> HttpResponse:
    """Send the mail with the tickets again."""
    if request.method != "POST":
        return redirect("office_order", order_id)
    staff_id = actor_id(request)
    return _do(
        request,
        order_id,
        lambda: services.receipt_resend(staff_id=staff_id, order_id=order_id),
        _("The mail is being sent again."),
    )


@allow("GET", "POST")
@staff_with(Permission.MANAGE_ORDERS)
def order_address(request: HttpRequest, order_id: int) -> HttpResponse:
    """Change a guest's e-mail address and name."""
    if request.method != "POST":
        return redirect("office_order", order_id)
    form = AddressForm(request.POST)
    if not form.is_valid():
        return _page(request, order_id, status=400, address=form)
    staff_id, given = actor_id(request), form.cleaned_data
    return _do(
        request,
        order_id,
        lambda: services.address_change(staff_id=staff_id, order_id=order_id, **given),
        _changed_sentence(order_id, is_address=given["email"] != given["before"]),
    )


def _changed_sentence(order_id: int, *, is_address: bool) -> str:
    """Return the sentence after a change. It says what to do next if an order with tickets has a new address."""
    if not is_address:
        return _("The name was changed.")
    if checkout.has_tickets_to_send(order_id=order_id):
        return _("The address was changed. Send the mail again, so that it arrives at the new address.")
    return _("The address was changed.")


@allow("GET", "POST")
@staff_with(Permission.MANAGE_ORDERS)
def order_release(request: HttpRequest, order_id: int) -> HttpResponse:
    """Release the holds of an order."""
    if request.method != "POST":
        return redirect("office_order", order_id)
    staff_id = actor_id(request)
    return _do(
        request,
        order_id,
        lambda: services.hold_release(staff_id=staff_id, order_id=order_id),
        _("The tickets are back on sale."),
    )


@allow("GET", "POST")
@staff_with(Permission.MANAGE_ORDERS)
def order_note(request: HttpRequest, order_id: int) -> HttpResponse:
    """Add a note to an order."""
    if request.method != "POST":
        return redirect("office_order", order_id)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return _page(request, order_id, status=400, note=form)
    staff_id, text = actor_id(request), form.cleaned_data["text"]
    return _do(
        request,
        order_id,
        lambda: services.note_add(staff_id=staff_id, order_id=order_id, text=text),
        _("The note was saved."),
    )


@allow("GET", "POST")
@staff_with(Permission.RETRY_REFUND)
def order_retry(request: HttpRequest, order_id: int) -> HttpResponse:
    """Try a failed refund of an order again."""
    if request.method != "POST":
        return redirect("office_order", order_id)
    payment = checkout.payment_charged(order_id=order_id)
    if payment is None:
        raise NotFound()
    refund = checkout.refund_refused(payment=payment)
    if refund is None:  # somebody else has tried the refund again, or the button was pressed twice
        messages.warning(
            request,
            _(
                "This order has no failed refund, so there is nothing to try again. The history lists all"
                " refunds."
            ),
        )
        return redirect("office_order", order_id)
    staff_id = actor_id(request)
    return _do(
        request,
        order_id,
        lambda: services.refund_retry(staff_id=staff_id, refund_id=refund.pk),
        _("The refund is being tried again. See the history for the result."),
    )


@allow("GET", "POST")
@staff_with(Permission.REFUND)
def order_elsewhere(request: HttpRequest, order_id: int) -> HttpResponse:
    """Ask how the money of a failed refund was paid back without the gateway, then record that it was."""
    payment = checkout.payment_charged(order_id=order_id)
    if payment is None:
        raise NotFound()
    refund = checkout.refund_refused(payment=payment)
    if refund is None:
        messages.warning(
            request,
            _(
                "This order has no failed refund, so there is nothing to record. The history lists all"
                " refunds."
            ),
        )
        return redirect(*_after_refund(request, order_id))
    form, status = ElsewhereForm(request.POST or None, initial={"version": payment.version}), 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                services.refund_settle_elsewhere(
                    staff_id=actor_id(request),
                    refund_id=refund.pk,
                    version=form.cleaned_data["version"] or 0,  # a form without a version is outdated
                    note=form.cleaned_data["text"],
                )
            except DomainError as refused:
                form.add_error(None, error_messages.detail_of(refused))
                payment.refresh_from_db()
                form.data = {**request.POST.dict(), "version": str(payment.version)}
                status = 409
            else:
                messages.success(request, _("The refund was recorded."))
                return redirect(*_after_refund(request, order_id))
    context = {
        "order_id": order_id,
        "form": form,
        "payment": payment,
        "refund": refund,
        "amount": money.to_text(refund.amount_minor, payment.currency),
    }
    return render(request, "box_office/elsewhere.html", context, status=status)


@allow("GET", "POST")
@staff_with(Permission.REFUND)
def order_refund(request: HttpRequest, order_id: int) -> HttpResponse:
    """Ask for the amount of a refund of an order, then start the refund."""
    payment = checkout.payment_charged(order_id=order_id)
    if payment is None:
        raise NotFound()
    form = RefundForm(request.POST or None, initial={"version": payment.version}, currency=payment.currency)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                _refund(request, payment, form.cleaned_data)
            except DomainError as refused:
                form.add_error(None, error_messages.detail_of(refused))
                payment.refresh_from_db()
                form.data = {**request.POST.dict(), "version": str(payment.version)}
                status = 409
            else:
                messages.success(request, _refund_sentence(payment))
                return redirect(*_after_refund(request, order_id))
    context = {
        "order_id": order_id,
        "form": form,
        "payment": payment,
        "paid": money.to_text(payment.amount_minor, payment.currency),
        "left": money.to_text(payment.left_minor, payment.currency),
    }
    return render(request, "box_office/refund.html", context, status=status)


def _refund(request: HttpRequest, payment: Payment, given: dict[str, Any]) -> None:
    services.refund_request(
        staff_id=actor_id(request),
        payment_id=payment.pk,
        amount_minor=given["amount"],
        return_tickets=given["return_tickets"],
        version=given["version"] or 0,  # a form without a version is outdated
    )


def _refund_sentence(payment: Payment) -> str:
    if payment.gateway == rules.COUNTER:
        return _("The refund was recorded. Pay the money back in cash.")
    return _("The refund was started. See the history for the result.")


def _after_refund(request: HttpRequest, order_id: int) -> tuple[str, int]:
    """Return the arguments of `redirect` after a refund.

    They lead to the order's page if the user may see it, else to the page on which the order is refunded.
    """
    may_see = request.user.has_perm(Permission.MANAGE_ORDERS)
    return ("office_order" if may_see else "office_order_refund"), order_id
