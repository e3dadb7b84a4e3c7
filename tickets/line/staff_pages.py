"""The page on which staff follow and control a line. It works without JavaScript."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock
from overlord.kernel.errors import DomainError, Invalid
from overlord.kernel.methods import allow
from overlord.shop import error_messages, error_pages
from overlord.shop.permissions import staff_with
from tickets import availability
from tickets.line import figures, labels, projections, staff_services
from tickets.line.permissions import Permission
from tickets.line.rules import Action, Phase


@allow("GET", "POST")
@staff_with(Permission.CONTROL_LINE)
def line_desk(request: HttpRequest, event_id: int) -> HttpResponse:
    """Show how a line moves; take the forms by which staff control it."""
    availability.event_detail(event_id=event_id, now=clock.now())  # raises NotFound if there is no such event
    if request.method != "POST":
        return _page(request, event_id)
    try:
        staff_services.line_act(
            event_id=event_id,
            actor_id=actor_id(request),
            action=_action(request),
            text=request.POST.get("text", ""),
            seen=request.POST.get("seen", ""),
            now=clock.now(),
        )
    except DomainError as refused:
        return _page(request, event_id, refused=refused)
    messages.success(request, _("Done. Everybody in line sees the change now."))
    return redirect("line_desk", event_id)


def _action(request: HttpRequest) -> Action:
    try:
        return Action(request.POST.get("action", ""))
    except ValueError:
        raise Invalid(_("There is no such action.")) from None


def _page(request: HttpRequest, event_id: int, *, refused: DomainError | None = None) -> HttpResponse:
    now = clock.now()
    event = availability.event_detail(event_id=event_id, now=now)
    line = projections.line_shown(event_id=event_id, now=now)
    is_closed_list = line["phase"] == Phase.LOBBY and line["digest"] is not None
    context = {
        "event": event,
        "line": line,
        "figures": figures.line_figures(event_id=event_id, now=now),
        "reason": labels.reason_text(line),
        "has_line": line["phase"] != Phase.CLOSED,
        "may_open": line["phase"] == Phase.LOBBY and line["digest"] is None,
        "awaits_value": is_closed_list and line["public_name"] is not None,
        "done": staff_services.staff_actions(event_id=event_id),
        "deeds": labels.deeds(),
        "error": error_messages.of_error(refused, time_zone=event["time_zone"]) if refused else None,
        "detail": error_messages.detail_of(refused) if refused else "",
        "refused_texts": {request.POST.get("action"): request.POST.get("text")} if refused else {},
        "now": now,
    }
    return error_pages.page_of_view(request, "line/desk.html", context, refused=refused)
