"""The admin's lists of payments, refunds, charges without a payment, incidents and reservations.

Rows change only through services, from the pages and actions below.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from checkout import selectors, services
from checkout.models import Incident, Payment, Refund, UnmatchedCharge
from checkout.permissions import Permission
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, money
from overlord.kernel.errors import DomainError
from overlord.kernel.form_fields import WholeNumberField, wrong
from overlord.kernel.numbers import LARGEST_ID
from tickets.models import Reservation
from tickets.permissions import Permission as TicketsPermission


def _amount(minor: int, payment: Payment) -> str:
    """Return an amount of a payment's money as text for staff: 70.00 EUR."""
    return f"{money.to_text(minor, payment.currency)} {payment.currency}"


class ReadOnlyAdmin(admin.ModelAdmin):
    """A list of rows that nobody edits here, with an action.

    The action needs `permission`. To see the rows, users need `permission`, or Django's permission to view them.
    """

    show_full_result_count = False
    permission: str

    def has_act_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may run the action. Django calls this for `permissions=["act"]`."""
        return request.user.has_perm(self.permission)

    def check_may_act(self, request: HttpRequest) -> None:
        """Raise PermissionDenied unless the user may run the action."""
        if not self.has_act_permission(request):
            raise PermissionDenied

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns, without the links if the user may not run the action."""
        shown = super().get_list_display(request)
        if self.has_act_permission(request):
            return shown
        return [name for name in shown if not str(name).endswith("_link")]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_act_permission(request) or super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RefundForm(forms.Form):
    amount = forms.CharField(
        required=False, help_text=("Leave this field empty to refund the full remaining amount.")
    )
    return_tickets = forms.BooleanField(required=False, help_text="Possible only with a full refund.")
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


class RefundInline(admin.TabularInline):
    model = Refund
    fields = ("amount", "status", "return_tickets", "requested_by", "created")
    readonly_fields = fields
    extra = 0
    can_delete = False

    @admin.display(description="amount")
    def amount(self, refund: Refund) -> str:
        return _amount(refund.amount_minor, refund.payment)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    permission = Permission.REFUND
    list_display = ("id", "buyer", "price", "status", "gateway", "created", "refund_link")
    list_filter = ("status", "gateway")
    list_select_related = ("buyer",)
    search_fields = ("=id", "=gateway_reference", "buyer__username", "buyer__email")
    exclude = ("gateway_token", "amount_minor", "refunded_minor")
    readonly_fields = ("price", "refunded")
    inlines = (RefundInline,)

    @admin.display(description="amount")
    def price(self, payment: Payment) -> str:
        return _amount(payment.amount_minor, payment)

    @admin.display(description="refunded")
    def refunded(self, payment: Payment) -> str:
        return _amount(selectors.paid_back_minor(payment=payment), payment)

    @admin.display(description="")
    def refund_link(self, payment: Payment) -> str:
        if payment.status != Payment.Status.SUCCESS:
            return ""
        return format_html(
            '<a href="{}">Refund</a>', reverse("admin:checkout_payment_refund", args=[payment.pk])
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.refund)
        return [path("<int:payment_id>/refund/", view, name="checkout_payment_refund"), *super().get_urls()]

    def refund(self, request: HttpRequest, payment_id: int) -> HttpResponse:
        """Show the form of a refund, and request the refund when it is sent."""
        self.check_may_act(request)
        payment = self.get_object(request, str(payment_id))
        if payment is None:
            return redirect("admin:checkout_payment_changelist")
        initial = {"version": payment.version}
        form = RefundForm(request.POST or None, initial=initial, currency=payment.currency)
        if request.method == "POST" and form.is_valid():
            try:
                services.refund_request(
                    staff_id=actor_id(request),
                    payment_id=payment_id,
                    amount_minor=form.cleaned_data["amount"],
                    return_tickets=form.cleaned_data["return_tickets"],
                    version=form.cleaned_data["version"] or 0,  # a form without a version counts as outdated
                )
            except DomainError as refused:
                form.add_error(None, refused.detail)
                payment.refresh_from_db()
                form.data = {**request.POST.dict(), "version": str(payment.version)}
            else:
                self.message_user(request, "The refund was requested.", messages.SUCCESS)
                return redirect("admin:checkout_payment_change", payment_id)
        context = {
            **self.admin_site.each_context(request),
            "form": form,
            "payment": payment,
            "paid": _amount(payment.amount_minor, payment),
            "refunded": _amount(payment.refunded_minor, payment),
            "left": _amount(payment.left_minor, payment),
            "title": "Refund",
        }
        return TemplateResponse(request, "checkout/admin_refund.html", context)


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """The list of reservations. A page of one reservation puts its tickets back on sale."""

    permission = TicketsPermission.RETURN_TICKETS
    list_display = (
        "id",
        "buyer",
        "ticket_type",
        "quantity",
        "state",
        "created",
        "expires_at",
        "ended_at",
        "return_link",
    )
    list_filter = ("state",)
    list_select_related = ("buyer", "ticket_type")
    search_fields = ("=id", "buyer__username", "buyer__email")

    @admin.display(description="")
    def return_link(self, reservation: Reservation) -> str:
        if reservation.state != Reservation.State.VALIDATED:
            return ""
        address = reverse("admin:tickets_reservation_return", args=[reservation.pk])
        return format_html('<a href="{}">Return to sale</a>', address)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.return_to_sale)
        added = path("<int:reservation_id>/return/", view, name="tickets_reservation_return")
        return [added, *super().get_urls()]

    def return_to_sale(self, request: HttpRequest, reservation_id: int) -> HttpResponse:
        """Ask whether to put a reservation's tickets back on sale, then do so."""
        self.check_may_act(request)
        reservation = self.get_object(request, str(reservation_id))
        if reservation is None:
            return redirect("admin:tickets_reservation_changelist")
        if request.method == "POST":
            try:
                services.reservation_return(staff_id=actor_id(request), reservation_id=reservation_id)
            except DomainError as refused:
                self.message_user(request, refused.detail, messages.ERROR)
            else:
                self.message_user(request, "The tickets are back on sale.", messages.SUCCESS)
            return redirect("admin:tickets_reservation_change", reservation_id)
        context = {
            **self.admin_site.each_context(request),
            "reservation": reservation,
            "title": "Put the tickets back on sale",
        }
        return TemplateResponse(request, "checkout/admin_return.html", context)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    permission = Permission.RETRY_REFUND
    list_display = ("id", "payment", "amount", "status", "return_tickets", "requested_by", "created")
    list_filter = ("status",)
    list_select_related = ("payment", "requested_by")
    exclude = ("amount_minor",)
    readonly_fields = ("amount",)
    actions = ("try_again",)

    @admin.display(description="amount")
    def amount(self, refund: Refund) -> str:
        return _amount(refund.amount_minor, refund.payment)

    @admin.action(description="Try the selected failed refunds again", permissions=["act"])
    def try_again(self, request: HttpRequest, refunds: QuerySet[Refund]) -> None:
        for refund in refunds:
            try:
                services.refund_retry(staff_id=actor_id(request), refund_id=refund.pk)
            except DomainError as refused:
                self.message_user(request, f"{refund}: {refused.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{refund} is being tried again.", messages.SUCCESS)


@admin.register(UnmatchedCharge)
class UnmatchedChargeAdmin(ReadOnlyAdmin):
    permission = Permission.REFUND
    list_display = ("id", "gateway_reference", "amount", "charged_at", "found_at", "closed_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "gateway")
    search_fields = ("=gateway_reference",)
    exclude = ("amount_minor",)
    readonly_fields = ("amount",)
    actions = ("pay_back", "close")

    @admin.display(description="amount")
    def amount(self, charge: UnmatchedCharge) -> str:
        return f"{money.to_text(charge.amount_minor, charge.currency)} {charge.currency}"

    @admin.action(description="Pay back the selected charges", permissions=["act"])
    def pay_back(self, request: HttpRequest, charges: QuerySet[UnmatchedCharge]) -> None:
        ids = list(charges.filter(closed_at=None).values_list("pk", flat=True))
        services.unmatched_charges_refund_request(staff_id=actor_id(request), ids=ids)
        text = "The gateway is asked to refund these charges. Each is closed when the gateway accepts its refund."
        self.message_user(request, text, messages.SUCCESS)

    @admin.action(description="Close the selected charges", permissions=["act"])
    def close(self, request: HttpRequest, charges: QuerySet[UnmatchedCharge]) -> None:
        services.unmatched_charges_close(
            staff_id=actor_id(request), ids=list(charges.values_list("pk", flat=True))
        )


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    permission = Permission.CLOSE_INCIDENT
    list_display = ("created", "cause", "payment", "detail", "closed_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "cause")
    list_select_related = ("payment",)
    actions = ("close",)

    @admin.action(description="Close the selected incidents", permissions=["act"])
    def close(self, request: HttpRequest, incidents: QuerySet[Incident]) -> None:
        ids = list(incidents.values_list("pk", flat=True))
        services.incidents_close(staff_id=actor_id(request), ids=ids, now=clock.now())
