"""The organiser's pages of discount and presale codes. They work without JavaScript.

The views decide nothing: each reads the request, calls services of other apps, and shows the result.
"""

import secrets
from http import HTTPStatus
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from overlord.accounts.selectors import actor_id
from overlord.box_office import codes, selectors
from overlord.journal import services as journal
from overlord.journal.actions import Action
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, NotFound
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import error_messages, searches
from overlord.shop.paging import page_number
from overlord.shop.permissions import staff_with
from tickets import voucher_edits, voucher_services
from tickets.models import Event, Voucher
from tickets.permissions import Permission
from tickets.voucher_forms import CodeForm
from tickets.voucher_rules import CodeExists, CodeLimitTooLow, CodeOutdated, CodeTooLong, PriceRule


def _event(event_id: int) -> Event:
    event = Event.objects.filter(pk=event_id).first()
    if event is None:
        raise NotFound()
    return event


@allow("GET")
@staff_with(Permission.MANAGE_EVENTS)
def codes_list(request: HttpRequest, event_id: int) -> HttpResponse:
    """List the codes of an event with the sales of each, the newest first."""
    event, search = _event(event_id), searches.text_asked(request)
    page = codes.page(event=event, search=search, number=page_number(request), now=clock.now())
    context = {"event": event, "page": page, "search": search, "query": request.GET.urlencode()}
    return render(request, "box_office/codes.html", context)


@allow("GET")
@staff_with(Permission.MANAGE_EVENTS)
def codes_csv(request: HttpRequest, event_id: int) -> StreamingHttpResponse:
    """Send the codes of the list as a CSV file. The file is made while it is sent."""
    event, now = _event(event_id), clock.now()
    journal.entry_write(
        actor_id=actor_id(request), action=Action.CODES_DOWNLOADED, event_id=event_id, now=now
    )
    lines = codes.csv_lines(event=event, search=searches.text_asked(request), now=now)
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="codes-{event_id}.csv"'
    return response


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def code_new(request: HttpRequest, event_id: int) -> HttpResponseBase:
    """Make a code, or many at once."""
    event, types = _event(event_id), selectors.ticket_types(event_id=event_id)
    with timezone.override(ZoneInfo(event.time_zone)):
        if request.method != "POST":
            first = {"price_rule": PriceRule.PERCENT.value, "number": 1, "key": secrets.token_hex(16)}
            return _form_page(request, event, voucher_edits.new_form(event, types, first))
        form = voucher_edits.new_form_sent(event, types, request.POST)
        if not form.is_valid():
            status = HTTPStatus.CONFLICT if form.meanwhile else HTTPStatus.BAD_REQUEST
            return _form_page(request, event, form, status=status)
        try:
            made = voucher_services.vouchers_make(
                staff_id=actor_id(request),
                event_id=event_id,
                text=form.cleaned_data["text"],
                number=form.cleaned_data["number"],
                terms=form.terms(),
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
        except CodeOutdated:
            return code_new(request, event_id)  # show the form again, with the event as it is now
        except DomainError as refused:
            return _refused(request, event, form, refused)
    sentence = ngettext("The code %(text)s was created.", "%(n)s codes were created.", len(made))
    messages.success(request, sentence % {"text": made[0], "n": len(made)})
    return redirect("office_codes", event_id)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def code_edit(request: HttpRequest, event_id: int, code_id: int) -> HttpResponseBase:
    """Show a code with its sales, and change it."""
    event = _event(event_id)
    voucher = Voucher.objects.filter(pk=code_id, event_id=event_id).first()
    if voucher is None:
        raise NotFound()
    types = selectors.ticket_types(event_id=event_id)
    with timezone.override(ZoneInfo(event.time_zone)):
        if request.method != "POST":
            form = voucher_edits.form_of(voucher, event, types)
            return _form_page(request, event, form, voucher=voucher)
        form = voucher_edits.form_sent(voucher, event, types, request.POST)
        if form.is_valid():
            try:
                voucher_services.voucher_change(
                    staff_id=actor_id(request),
                    event_id=event_id,
                    voucher_id=code_id,
                    version=voucher.version,
                    terms=form.terms(),
                    now=clock.now(),
                )
            except CodeLimitTooLow as refused:
                return _refused(request, event, form, refused, voucher=voucher)
            except CodeOutdated:
                return code_edit(request, event_id, code_id)  # show the form again, with the current values
            else:
                messages.success(request, _("The code was saved."))
                return redirect("office_codes", event_id)
        status = HTTPStatus.CONFLICT if form.meanwhile else HTTPStatus.BAD_REQUEST
        return _form_page(request, event, form, voucher=voucher, status=status)


class EndForm(forms.Form):
    """Whether to end a code or to reopen it, and the version that staff saw."""

    version = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    ended = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")])


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def code_end(request: HttpRequest, event_id: int, code_id: int) -> HttpResponse:
    """End a code, or let it be used again."""
    form = EndForm(request.POST)
    if form.is_valid():
        ended = form.cleaned_data["ended"] == "yes"
        try:
            voucher_services.voucher_end(
                staff_id=actor_id(request),
                event_id=event_id,
                voucher_id=code_id,
                version=form.cleaned_data["version"],
                ended=ended,
                now=clock.now(),
            )
        except CodeOutdated as refused:
            messages.warning(request, error_messages.detail_of(refused))
        else:
            messages.success(
                request, _("The code can no longer be used.") if ended else _("The code can be used again.")
            )
    return redirect("office_code", event_id, code_id)


def _refused(
    request: HttpRequest,
    event: Event,
    form: CodeForm,
    refused: DomainError,
    *,
    voucher: Voucher | None = None,
) -> HttpResponse:
    field = {CodeExists: "text", CodeTooLong: "text", CodeLimitTooLow: "most_uses"}.get(type(refused))
    form.add_error(field, error_messages.detail_of(refused))
    return _form_page(request, event, form, voucher=voucher, status=problems.status_of(refused))


def _form_page(
    request: HttpRequest, event: Event, form: CodeForm, *, voucher: Voucher | None = None, status: int = 200
) -> HttpResponse:
    """Show the form of a code. The caller has set the event's time zone, in which the form shows its times."""
    shown = None if voucher is None else codes.shown(event=event, voucher=voucher, now=clock.now())
    context = {"event": event, "form": form, "voucher": voucher, "shown": shown, "is_sent": form.is_bound}
    return render(request, "box_office/code_form.html", context, status=status)
