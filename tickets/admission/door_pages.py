"""The page of the door: scan, search, undo.

It works without JavaScript; with JavaScript it also works without a network.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock
from overlord.kernel.errors import DomainError, Forbidden, Invalid
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID, whole_number
from overlord.kernel.security_headers import PERMISSIONS_OF_DOOR
from overlord.kernel.texts import one_line
from overlord.shop import error_messages, error_pages, searches
from overlord.shop.permissions import staff_with
from tickets.admission import codes, door_services, labels, representation, rules, selectors
from tickets.admission.door_services import Shown
from tickets.admission.permissions import Permission

LISTED_SINCE = timedelta(days=2)  # an event that was over before, and sells no more, is not listed
EVENTS_LISTED = 200
# `connect-src`: the service worker fetches the door's page and its files.
WORKER_POLICY = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"


@allow("GET", "POST")
@staff_with(Permission.USE_DOOR)
def door(request: HttpRequest) -> HttpResponse:
    """Let staff choose an event and a gate; then show the page of the gate, and take its forms."""
    try:
        event_id, gate = _place(request)
    except Invalid as wrong:
        return _choose(request, refused=wrong)
    if event_id is None:
        return _choose(request)
    event = selectors.door_event(event_id=event_id)
    if event is None:
        return _choose(request, refused=Invalid(_("There is no such event.")))
    answer, refused, found = None, None, None
    try:
        if request.method == "POST":
            answer = _post(request, event_id=event_id, gate=gate)
        elif words := searches.text_asked(request, most=rules.SEARCH_LENGTH):
            found = _found(event_id, words)
    except DomainError as error:
        refused = error
    return _gate(request, event, gate, answer=answer, refused=refused, found=found)


def _place(request: HttpRequest) -> tuple[int | None, str]:
    """Return the chosen event and gate, with None for the event if none is chosen; raise Invalid."""
    given = request.GET
    if "gate" not in given or not (given.get("event") or given["gate"]):
        return None, ""
    try:
        event_id = whole_number(given.get("event", ""), least=1, most=LARGEST_ID)
    except ValueError:
        raise Invalid(_("Choose an event.")) from None
    try:
        return event_id, one_line(given.get("gate", ""), most=rules.GATE_LENGTH)
    except ValueError:
        raise Invalid(_("Enter a name for the gate, of at most 60 characters.")) from None


def _post(request: HttpRequest, *, event_id: int, gate: str) -> dict[str, Any]:
    """Undo a scan, or scan the typed text; return the answer as the page shows it."""
    actor, now = actor_id(request), clock.now()
    if "undo" in request.POST:
        if not request.user.has_perm(Permission.UNDO_ADMISSION):
            raise Forbidden()
        scan = door_services.admission_undo(scan_id=_uuid(request, "undo"), actor_id=actor, now=now)
        return {**scan, "undone": True}
    typed = request.POST.get("shown", "").replace("\0", "").strip()[: rules.SHOWN_LENGTH]
    if not typed:
        raise Invalid(_("Scan a code, or type a ticket number."))
    is_code = codes.is_code(typed)
    shown = Shown(
        scan_id=_uuid(request, "scan_id"), code=typed if is_code else "", serial="" if is_code else typed
    )
    return door_services.scan_make(shown=shown, event_id=event_id, gate=gate, actor_id=actor, now=now)


def _uuid(request: HttpRequest, name: str) -> UUID:
    try:
        return UUID(request.POST.get(name, ""))
    except ValueError:
        raise Invalid(_("This form is not complete. Please reload the page.")) from None


def _found(event_id: int, words: str) -> list[dict[str, Any]]:
    rows = selectors.tickets_found(event_id=event_id, words=words, most=rules.LISTED)
    return [{**representation.ticket_found(row), "scan": uuid4()} for row in rows]


def _choose(request: HttpRequest, *, refused: DomainError | None = None) -> HttpResponse:
    """Show the form that asks for an event and a gate. At first, the event that begins nearest to now is chosen."""
    now = clock.now()
    events = selectors.door_events(since=now - LISTED_SINCE, most=EVENTS_LISTED, now=now)
    nearest = min(events, key=lambda event: abs(event["date"] - now), default={"id": ""})
    context = {
        "events": events,
        "chosen": request.GET.get("event") or str(nearest["id"]),
        "gate": request.GET.get("gate", "")[: rules.GATE_LENGTH],
        "error": error_messages.of_error(refused) if refused else None,
    }
    return _with_camera(
        error_pages.page_of_view(request, "admission/door_choose.html", context, refused=refused)
    )


def _gate(
    request: HttpRequest,
    event: dict[str, Any],
    gate: str,
    *,
    answer: dict[str, Any] | None,
    refused: DomainError | None,
    found: list[dict[str, Any]] | None,
) -> HttpResponse:
    now: datetime = clock.now()
    [row] = selectors.door_states([event["id"]], now=now)
    state = representation.door(row)
    rows = selectors.scans_newest(event_id=event["id"], gate=None, only_conflicts=False, most=rules.LISTED)
    context = {
        "event": event,
        "gate": gate,
        "here": f"{reverse('door')}?{urlencode({'event': event['id'], 'gate': gate})}",
        "state": state,
        "admitted_here": sum(each["admitted"] for each in state["gates"] if each["gate"] == gate),
        "scans": [representation.scan(row) for row in rows],
        "answer": answer,
        "error": error_messages.of_error(refused) if refused else None,
        "found": found,
        "words": searches.text_asked(request, most=rules.SEARCH_LENGTH),
        "scan_id": uuid4(),
        "kept": "kept" in request.GET,  # the browser keeps this page: show no names
        "may_undo": request.user.has_perm(Permission.UNDO_ADMISSION),
        "labels": labels.results(),
        "now": now,
    }
    return _with_camera(error_pages.page_of_view(request, "admission/door.html", context, refused=refused))


def _with_camera(response: HttpResponse) -> HttpResponse:
    """Let this page use the camera, which no other page may use."""
    response.headers["Permissions-Policy"] = PERMISSIONS_OF_DOOR
    return response


@allow("GET")
def worker(request: HttpRequest) -> HttpResponse:
    """Answer with the script of the door's service worker; no log-in is needed.

    The worker may only serve pages in the folder of its own address, so its script is served beside the page.
    """
    source = Path(str(finders.find("admission/door-worker.js"))).read_text(encoding="utf-8")
    return HttpResponse(source, "text/javascript", headers={"Content-Security-Policy": WORKER_POLICY})
