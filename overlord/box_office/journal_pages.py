"""The organiser's page of the journal: who did what, when."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from overlord.accounts.models import User
from overlord.box_office import journal
from overlord.box_office.journal import JournalFilter
from overlord.journal.permissions import Permission
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop.permissions import staff_with
from tickets.models import Event

MOST_STAFF = 500


class FilterForm(forms.Form):
    """The filter of the journal's deeds. A malformed value selects all."""

    event = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)
    order = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)
    person = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)
    action = forms.CharField(max_length=60, required=False)


@allow("GET")
@staff_with(Permission.VIEW_JOURNAL)
def journal_page(request: HttpRequest) -> HttpResponse:
    """List the deeds of staff, the latest first: all, or those of one event, order, person or action."""
    form = FilterForm(request.GET)
    form.is_valid()
    asked = form.cleaned_data
    wanted = JournalFilter(
        event=asked.get("event"),
        order=asked.get("order"),
        person=asked.get("person"),
        action=asked.get("action", ""),
    )
    before = journal.position_read(request.GET.get("before", ""))
    staff = User.objects.filter(is_staff=True).order_by("username")[:MOST_STAFF]
    context = {
        "page": journal.page(wanted=wanted, before=before),
        "wanted": wanted,
        "event": Event.objects.filter(pk=wanted.event).first() if wanted.event else None,
        "person": User.objects.filter(pk=wanted.person).first() if wanted.person else None,
        "staff": staff,
        "labels": journal.labels(),
        "is_first": before is None,
    }
    return render(request, "box_office/journal.html", context)
