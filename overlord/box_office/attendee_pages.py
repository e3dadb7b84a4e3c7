"""The organiser's pages of attendees: a list of tickets, the list as a file, and a list to print for the door."""

from typing import Any

from django import forms
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render

from checkout.permissions import Permission
from overlord.accounts.selectors import actor_id
from overlord.box_office import attendees, selectors
from overlord.journal import services as journal
from overlord.journal.actions import Action
from overlord.kernel import clock
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import searches
from overlord.shop.permissions import staff_with
from tickets.admission.models import Ticket
from tickets.models import Event, TicketType

MOST_TO_PRINT = 5_000


class FilterForm(forms.Form):
    """The filter of the list, and which part of it to show. A malformed value counts as missing."""

    q = forms.CharField(required=False, max_length=searches.LENGTH)
    type = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)
    state = forms.ChoiceField(
        required=False, choices=[("", ""), *((each.value, each.value) for each in Ticket.State)]
    )
    before = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)
    after = WholeNumberField(min_value=1, max_value=LARGEST_ID, required=False)


def _asked(request: HttpRequest, event_id: int) -> tuple[Event, dict[str, Any], Any]:
    """Return the event, the filter's values by field name, and the tickets that pass the filter; raise NotFound."""
    event = selectors.event_published(event_id=event_id)
    form = FilterForm(request.GET)
    form.is_valid()
    asked = {name: form.cleaned_data.get(name) for name in form.fields}
    tickets = attendees.found(
        event_id=event_id, ticket_type=asked["type"], state=asked["state"] or "", search=asked["q"] or ""
    )
    return event, asked, tickets


@allow("GET")
@staff_with(Permission.VIEW_ATTENDEES)
def attendees_list(request: HttpRequest, event_id: int) -> HttpResponse:
    """List the tickets of an event with holder, buyer and state."""
    event, asked, tickets = _asked(request, event_id)
    part = attendees.part(tickets, before=asked["before"], after=asked["after"])
    context = {
        "event": event,
        "asked": asked,
        "types": selectors.ticket_types(event_id=event_id),
        "states": [each.value for each in Ticket.State],
        "part": part,
        "rows": [attendees.shown(row, zone=event.time_zone) for row in part.rows],
        "query": request.GET.urlencode(),
    }
    return render(request, "box_office/attendees.html", context)


def _journal_download(request: HttpRequest, event_id: int) -> None:
    journal.entry_write(
        actor_id=actor_id(request), action=Action.ATTENDEES_DOWNLOADED, event_id=event_id, now=clock.now()
    )


@allow("GET")
@staff_with(Permission.VIEW_ATTENDEES)
def attendees_csv(request: HttpRequest, event_id: int) -> StreamingHttpResponse:
    """Send the tickets of the list as a CSV file. The file is made while it is sent."""
    event, _asked_for, tickets = _asked(request, event_id)
    _journal_download(request, event_id)
    lines = attendees.csv_lines(tickets, zone=event.time_zone)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="attendees-{event_id}.csv"'
    return response


@allow("GET")
@staff_with(Permission.VIEW_ATTENDEES)
def attendees_xlsx(request: HttpRequest, event_id: int) -> FileResponse:
    """Send the tickets of the list as a spreadsheet, from a temporary file."""
    event, _asked_for, tickets = _asked(request, event_id)
    _journal_download(request, event_id)
    file = attendees.xlsx_file(tickets, zone=event.time_zone)
    return FileResponse(
        file, as_attachment=True, filename=f"attendees-{event_id}.xlsx", content_type=attendees.XLSX
    )


@allow("GET")
@staff_with(Permission.VIEW_ATTENDEES)
def attendees_print(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show the tickets that are not revoked, in the order of names, to print for a door without a network.

    The page shows at most MOST_TO_PRINT tickets, and says so if there are more. It also shows when the list was
    made, and the filter of the list, so that nobody takes a part for the whole list.
    """
    event, asked, tickets = _asked(request, event_id)
    not_revoked = tickets.exclude(state=Ticket.State.REVOKED)
    rows = list(attendees.rows(not_revoked)[: MOST_TO_PRINT + 1])
    found = [attendees.shown(row, zone=event.time_zone) for row in rows[:MOST_TO_PRINT]]
    found.sort(key=lambda row: (row["holder"] or row["buyer"] or row["email"]).casefold())
    context = {
        "event": event,
        "rows": found,
        "is_cut": len(rows) > MOST_TO_PRINT,
        "asked": asked,
        "is_part": bool(asked["type"] or asked["state"] or asked["q"]),
        "type": TicketType.objects.filter(event=event, pk=asked["type"]).first(),
        "now": clock.now(),
    }
    return render(request, "box_office/attendees_print.html", context)
