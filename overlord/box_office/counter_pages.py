"""The page on which staff sell at the counter, for cash or free. It works without JavaScript."""

import secrets
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout import services
from checkout.order_rules import FormSold
from checkout.permissions import Permission
from checkout.selectors import counter_order
from overlord.accounts.selectors import actor_id
from overlord.box_office import selectors
from overlord.kernel import money, problems, texts
from overlord.kernel.errors import DomainError
from overlord.kernel.form_fields import OneLineField, WholeNumberField
from overlord.kernel.methods import allow
from overlord.shop import error_messages, formats
from overlord.shop.permissions import staff_with
from tickets.admission.selectors import order_link
from tickets.models import Event, TicketType

MOST_OF_A_TYPE = 10_000


class CounterForm(forms.Form):
    """The number of tickets of each type, and the buyer's name and e-mail address. All of them are optional."""

    name = OneLineField(
        label=_lazy("Name"),
        max_length=texts.PERSON_NAME_LENGTH,
        required=False,
        help_text=_lazy("Optional."),
    )
    email = forms.EmailField(
        label=_lazy("E-mail address"),
        max_length=texts.EMAIL_LENGTH,
        required=False,
        help_text=_lazy(
            "We send the tickets to this address. If you leave it empty, show or print the tickets here."
        ),
    )
    price = forms.CharField(max_length=money.TEXT_LENGTH, required=False, widget=forms.HiddenInput)
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, types: list[TicketType], currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.amounts = {f"amount_{each.pk}": each for each in types}
        for name, each in self.amounts.items():
            inventory = each.inventory
            facts = {
                "price": formats.money(money.to_text(each.price_minor, currency), currency),
                "left": formats.number(inventory.capacity - inventory.held - inventory.sold),
                "most": formats.number(each.max_per_user),
            }
            self.fields[name] = WholeNumberField(
                label=each.name,
                min_value=0,
                max_value=MOST_OF_A_TYPE,
                required=False,
                help_text=_("%(price)s each. Tickets left: %(left)s. At most %(most)s tickets in one sale.")
                % facts,
                error_messages={"invalid": _("Enter a whole number.")},
            )
        self.order_fields([*self.amounts, "name", "email"])

    def quantities(self) -> dict[int, int]:
        """Return how many tickets a valid form asks for, by the ids of the ticket types, without zeros."""
        return {
            each.pk: self.cleaned_data[name] for name, each in self.amounts.items() if self.cleaned_data[name]
        }

    def total_minor(self) -> int:
        return sum(each.price_minor * (self.cleaned_data[name] or 0) for name, each in self.amounts.items())


@allow("GET", "POST")
@staff_with(Permission.SELL)
def counter(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show the form, show the total of the chosen tickets, or sell them."""
    event = selectors.event_published(event_id=event_id)
    types = [each for each in selectors.ticket_types(event_id=event_id) if hasattr(each, "inventory")]
    known: dict[str, Any] = {"types": types, "currency": event.currency}
    if request.method != "POST":
        return _page(request, event, CounterForm(initial={"key": _new_key()}, **known))
    form = CounterForm(request.POST, **known)
    if not form.is_valid():
        return _page(request, event, form, status=HTTPStatus.BAD_REQUEST)
    deed = request.POST.get("deed", "total")
    if deed not in ("cash", "free") or not form.quantities():
        # Check this before staff collect the money.
        for ticket_type, refused in services.counter_refusals(quantities=form.quantities()).items():
            form.add_error(f"amount_{ticket_type}", error_messages.of_error(refused).title)
        return _page(request, event, form, status=HTTPStatus.CONFLICT if form.errors else HTTPStatus.OK)
    given = form.cleaned_data
    try:
        sold = services.counter_sell(
            staff_id=actor_id(request),
            event_id=event_id,
            quantities=form.quantities(),
            is_free=deed == "free",
            price=given["price"] or None,
            email=given["email"],
            name=given["name"],
            key=given["key"],
        )
    except DomainError as error:
        field = f"amount_{error.facts.get('ticket_type')}"
        form.add_error(field if field in form.fields else None, error_messages.of_error(error).title)
        if isinstance(error, FormSold):
            form.data = {**{each: form.data[each] for each in form.data}, "key": _new_key()}
        return _page(request, event, form, status=problems.status_of(error))
    sentence = _("This form was already used for order %(n)s. Nothing more was sold.")
    if not sold.replayed:
        sentence = _("Order %(n)s was sold. The tickets are ready.")
    messages.success(request, sentence % {"n": sold.order_id})
    return redirect(f"{reverse('office_counter', args=[event_id])}?sold={given['key']}")


def _new_key() -> str:
    """Return a random key for a form, so that the form sells only once."""
    return secrets.token_urlsafe(12)


def _page(request: HttpRequest, event: Event, form: CounterForm, *, status: int = 200) -> HttpResponse:
    sold = counter_order(key=request.GET.get("sold", "")[:64].replace("\0", ""))
    total = None
    if form.is_bound and not form.errors and form.quantities():
        total = money.to_text(form.total_minor(), event.currency)
        # The form contains the total that it shows, so that nothing is sold at another price.
        form.data = {**{name: form.data[name] for name in form.data}, "price": total}
    context = {
        "event": event,
        "form": form,
        "total": total,
        "nothing": form.is_bound and not form.errors and total is None,
        "sold": sold,
        "link": order_link(order_id=sold) if sold else "",
    }
    return render(request, "box_office/counter.html", context, status=status)
