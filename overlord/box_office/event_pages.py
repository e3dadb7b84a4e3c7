"""The organiser's pages of events: the list, one event, and the forms that make and change one.

The views decide nothing: each reads the request, calls services of other apps, and shows the result.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from checkout.permissions import Permission as MoneyPermission
from overlord.accounts.selectors import actor_id
from overlord.box_office import labels, selectors
from overlord.kernel import clock, money, time_zones
from overlord.kernel.errors import DomainError, NotFound
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.mailings.permissions import Permission as MailingsPermission
from overlord.shop import error_messages, formats, pictures, searches
from overlord.shop.paging import page_number
from overlord.shop.permissions import staff_with
from tickets import event_services as services
from tickets.event_services import EventForms, EventOutdated
from tickets.models import Event, TicketType, default_time_zone
from tickets.permissions import Permission
from tickets.selectors import event_time_zone

MOST_TYPES = 100
# Staff who do not manage events also see the list of events, if they have one of these permissions. For each event,
# the list then has links to the pages of their work.
WORK_ON_EVENTS = (
    MoneyPermission.MANAGE_ORDERS,
    MoneyPermission.VIEW_ATTENDEES,
    MoneyPermission.SELL,
    MailingsPermission.SEND_MESSAGES,
)
WIDGET = '<script type="module" src="{base_url}/static/tickets/widget.js?event={event}"></script>'


@allow("GET")
@staff_with(Permission.MANAGE_EVENTS, *WORK_ON_EVENTS)
def events(request: HttpRequest) -> HttpResponse:
    """List the coming or the past events.

    Staff who manage events see the sales of each event. Others see links to their work on the event.
    """
    now, user = clock.now(), request.user
    past, search = request.GET.get("when") == "past", searches.text_asked(request)
    may_manage = user.has_perm(Permission.MANAGE_EVENTS)
    page = selectors.events(
        past=past, search=search, with_drafts=may_manage, page=page_number(request), now=now
    )
    rows = [{"event": each, "label": labels.of_event(each, now=now)} for each in page.rows]
    context = {"rows": rows, "page": page, "past": past, "search": search, "may_manage": may_manage}
    return render(request, "box_office/events.html", context)


@allow("GET")
@staff_with(Permission.MANAGE_EVENTS)
def event(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show one event: its state, its sales, and what can be done with it."""
    now = clock.now()
    shown = selectors.event(event_id=event_id, now=now)
    if shown is None:
        raise NotFound()
    is_draft = shown.status == Event.Status.DRAFT
    types = selectors.ticket_types(event_id=event_id)
    context = {
        "event": shown,
        "label": labels.of_event(shown, now=now),
        "revenue": _revenue(shown, shown.currency),
        "cash": _cash(shown),
        "types": [
            {
                "type": each,
                "price": money.to_text(each.price_minor, shown.currency),
                "taken": _revenue(getattr(each, "inventory", None), shown.currency),
            }
            for each in types
        ],
        "late": _late(shown, types, now=now),
        "first": _first(shown, labels.of_event(shown, now=now).tone, request.user),
        "is_draft": is_draft,
        "obstacles": services.obstacles(event=shown, now=now) if is_draft else [],
        "is_on_sale": shown.status == Event.Status.ON_SALE,
        "widget": WIDGET.format(base_url=settings.BASE_URL, event=shown.pk),
        "now": now,
    }
    return render(request, "box_office/event.html", context)


def _late(event: Event, types: list[TicketType], *, now: datetime) -> list[TicketType]:
    """Return the ticket types whose sale has not ended and ends after the event; none if the event is cancelled.

    An event without an end counts as over when it begins.
    """
    over = max(event.ends_at or event.date, now)
    if event.status == Event.Status.CANCELLED:
        return []
    return [each for each in types if hasattr(each, "inventory") and each.inventory.closes_at > over]


def _revenue(row: object, currency: str) -> str:
    """Return the revenue of an event or an inventory as a decimal string; "0.00" without a row or a revenue."""
    return money.to_text(int(getattr(row, "revenue_minor", None) or 0), currency)


def _first(event: Event, tone: str, user: Any) -> str:
    """Return the name of the action whose button the page shows first; `tone` is the tone of the event's label.

    Return "" if no action fits the state of the event (for example, a draft), or if the user lacks the permission
    for the action.
    """
    if event.status == Event.Status.CANCELLED:
        return "refunds" if user.has_perm(MoneyPermission.CANCEL_EVENT) else ""
    fitting, permission = {
        "paused": ("resume", Permission.PAUSE_SALE),
        "open": ("sell", MoneyPermission.SELL),
        "sold-out": ("attendees", MoneyPermission.VIEW_ATTENDEES),
        "ended": ("attendees", MoneyPermission.VIEW_ATTENDEES),
    }.get(tone, ("", ""))
    return fitting if user.has_perm(permission) else ""


def _cash(event: Event) -> str | None:
    """Return the cash sales of an event, less cash refunds, as a decimal string; None if there were none."""
    minor = selectors.cash_minor(event_id=event.pk)
    return None if minor is None else money.to_text(minor, event.currency)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def event_new(request: HttpRequest) -> HttpResponse:
    """Make an event, as a draft."""
    return _form_page(request, None)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def event_edit(request: HttpRequest, event_id: int) -> HttpResponse:
    """Change an event and its ticket types."""
    return _form_page(request, event_id)


def _form_page(request: HttpRequest, event_id: int | None) -> HttpResponse:
    may_pause = request.user.has_perm(Permission.PAUSE_SALE)
    is_sent = request.method == "POST" and not {"more", "look"} & {*request.POST}
    with timezone.override(ZoneInfo(_zone(request, event_id))):
        if is_sent:
            shown = services.event_save(
                staff_id=actor_id(request),
                event_id=event_id,
                data=request.POST,
                may_pause=may_pause,
                now=clock.now(),
            )
            if shown.saved is not None:
                messages.success(request, _saved_sentence(shown.event))
                return redirect("office_event", shown.saved)
        else:
            data = _unsent(request.POST) if request.method == "POST" else None
            shown = services.event_forms(event_id=event_id, data=data, may_pause=may_pause, now=clock.now())
            for form in (shown.event, *shown.types.forms):
                form.errors.clear()  # errors are shown only after somebody has pressed Save
        context = _form_context(shown, event_id, is_sent=is_sent)
        context["look"] = "look" in request.POST
        context["added"] = "more" in request.POST
        is_fresh = event_id is None and request.method != "POST"
        # The browser's time zone is suggested only if the installation's time zone is the default, UTC.
        context["takes_browsers_zone"] = is_fresh and default_time_zone() == time_zones.UTC
        # The page is rendered inside this block, so that the form shows its times in the event's zone.
        return render(request, "box_office/event_form.html", context, status=_status(shown, is_sent=is_sent))


def _saved_sentence(form: Any) -> str:
    """Return what was saved, with the new end of the event if this moved by itself."""
    saved = _("The event was saved.")
    if form.end_moved is None:
        return saved
    when = formats.date_time(form.end_moved, form.instance.time_zone)
    moved = _("Its end moved by the same time as its beginning. It now ends on %(when)s.")
    return f"{saved} {moved % {'when': when}}"


def _status(shown: EventForms, *, is_sent: bool) -> int:
    if not is_sent:
        return HTTPStatus.OK
    return HTTPStatus.CONFLICT if shown.event.meanwhile else HTTPStatus.BAD_REQUEST


def _form_context(shown: EventForms, event_id: int | None, *, is_sent: bool) -> dict[str, Any]:
    return {
        "event_id": event_id,
        "form": shown.event,
        "types": shown.types,
        "is_sent": is_sent,
        "is_draft": shown.event.instance.status == Event.Status.DRAFT,
        "told": 0 if event_id is None else selectors.people_to_tell(event_id=event_id),
        "can_add": shown.types.total_form_count() < MOST_TYPES,
    }


def _unsent(sent: QueryDict) -> QueryDict:
    """Return the data of a sent form that is only shown again, not saved.

    If "more" was pressed, the data has another, empty ticket type.
    """
    data = sent.copy()
    if "more" not in sent:
        return data
    total = data.get("ticket_types-TOTAL_FORMS", "")
    count = int(total) if total.isascii() and total.isdigit() and len(total) < 5 else 0
    data["ticket_types-TOTAL_FORMS"] = str(min(count + 1, MOST_TYPES))
    data.setdefault(f"ticket_types-{count}-max_per_user", "10")
    return data


def _zone(request: HttpRequest, event_id: int | None) -> str:
    """Return the time zone of the event: from the sent form, else the saved one, else the installation's."""
    meant = time_zones.meant(request.POST.get("time_zone", ""))
    if len(meant) == 1:
        return meant[0]
    return (event_time_zone(event_id) if event_id is not None else None) or default_time_zone()


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def event_copy(request: HttpRequest, event_id: int) -> HttpResponse:
    """Copy an event as a draft, and show the form of the copy."""
    if request.method != "POST":
        return redirect("office_event", event_id)
    copied = services.event_copy(staff_id=actor_id(request), event_id=event_id, now=clock.now())
    messages.success(
        request, _("The event was copied as a draft. Change the date before you put this event on sale.")
    )
    return redirect("office_event_edit", copied)


class PictureForm(forms.Form):
    """The version that staff saw, and whether to remove the picture. A file is a separate field of the request."""

    version = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    remove = forms.BooleanField(required=False)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def event_picture(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show the picture of an event, and replace or remove it."""
    if request.method != "POST":
        return _picture_page(request, event_id)
    form, file = PictureForm(request.POST), request.FILES.get("picture")
    if not form.is_valid():
        return redirect("office_event_picture", event_id)
    remove = form.cleaned_data["remove"]
    if file is None and not remove:
        return _picture_page(request, event_id, error=_("Choose a file first."))
    try:
        services.event_picture_set(
            staff_id=actor_id(request),
            event_id=event_id,
            version=form.cleaned_data["version"],
            content=None if remove or file is None else file.read(pictures.LARGEST_FILE + 1),
            now=clock.now(),
        )
    except (pictures.PictureRefused, EventOutdated) as refused:
        return _picture_page(request, event_id, error=error_messages.detail_of(refused))
    messages.success(request, _("The picture was removed.") if remove else _("The picture was saved."))
    return redirect("office_event", event_id)


def _picture_page(request: HttpRequest, event_id: int, *, error: str = "") -> HttpResponse:
    shown = selectors.event(event_id=event_id, now=clock.now())
    if shown is None:
        raise NotFound()
    context = {
        "event": shown,
        "picture": pictures.shown(pictures.address(shown.picture)),
        "error": error,
    }
    return render(
        request,
        "box_office/picture.html",
        context,
        status=HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK,
    )


class StatusForm(forms.Form):
    """The new status of an event, and the version that staff saw."""

    status = forms.ChoiceField(choices=[(Event.Status.ON_SALE.value,) * 2, (Event.Status.DRAFT.value,) * 2])
    version = WholeNumberField(min_value=1, max_value=LARGEST_ID)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_EVENTS)
def event_status(request: HttpRequest, event_id: int) -> HttpResponse:
    """Put a draft on sale, or make an event without reservations a draft again."""
    form = StatusForm(request.POST)
    if not form.is_valid():
        return redirect("office_event", event_id)
    change, sentence = {
        Event.Status.ON_SALE.value: (services.event_publish, _("Buyers can see the event now.")),
        Event.Status.DRAFT.value: (services.event_unpublish, _("The event is a draft again.")),
    }[form.cleaned_data["status"]]
    try:
        change(
            staff_id=actor_id(request),
            event_id=event_id,
            version=form.cleaned_data["version"],
            now=clock.now(),
        )
    except NotFound:
        raise
    except DomainError as refused:
        messages.warning(request, error_messages.detail_of(refused))
    else:
        messages.success(request, sentence)
    return redirect("office_event", event_id)
