"""The pages of tickets: those of an order, by the signed link of the mail.

A view translates the request, makes one call, and translates the result.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock
from overlord.kernel.errors import NotFound
from overlord.kernel.methods import allow
from tickets import selectors as tickets
from tickets.admission import documents, qr, selectors, services
from tickets.admission.documents import Document

View = Callable[..., HttpResponse]

# A service worker obeys the policy of its own file.
WORKER_POLICY = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"


def _secret(view: View) -> View:
    """Keep an answer out of caches and search engines, and its address from other sites: it opens the tickets."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store, private"
        response["Referrer-Policy"] = "no-referrer"
        response["X-Robots-Tag"] = "noindex"
        return response

    return guarded


@allow("GET")
@_secret
def tickets_shown(request: HttpRequest, signed: str) -> HttpResponse:
    """Show the tickets of a link, each with its QR code."""
    now = clock.now()
    found = services.tickets_of_link(signed=signed, now=now)
    context = {
        "signed": signed,
        "event": {name: found[0][f"event_{name}"] for name in ("name", "date", "time_zone")},
        "tickets": [{**ticket, "qr": _qr(ticket)} for ticket in found],
        "is_valid": any(ticket["code"] for ticket in found),
        "now": now,
    }
    return render(request, "admission/tickets.html", context)


def _qr(ticket: Mapping[str, Any]) -> str | None:
    if ticket["code"] is None:
        return None
    title = _("QR code of ticket %(serial)s") % {"serial": ticket["serial"]}
    return mark_safe(qr.svg(ticket["code"], title=title))  # noqa: S308  (our own drawing)


@allow("GET")
@_secret
def tickets_pdf(_request: HttpRequest, signed: str) -> HttpResponse:
    """Give the tickets of a link as a PDF, without those that open no door."""
    found = services.tickets_of_link(signed=signed, now=clock.now())
    document = documents.tickets_pdf(found, order_id=selectors.link_subject(signed).id)
    if document is None:
        raise NotFound()
    return _file(document)


@allow("GET")
@_secret
def event_calendar(_request: HttpRequest, signed: str) -> HttpResponse:
    """Give the event of a link's tickets as a file for calendars."""
    now = clock.now()
    found = services.tickets_of_link(signed=signed, now=now)
    return _file(documents.event_calendar(found, order_id=selectors.link_subject(signed).id, now=now))


def _file(document: Document) -> HttpResponse:
    response = HttpResponse(document.content, content_type=document.kind)
    response["Content-Disposition"] = f'inline; filename="{document.name}"'
    return response


@allow("GET")
def ticket_worker(_request: HttpRequest) -> HttpResponse:
    """Give the service worker of the tickets' pages: under their path, so that it serves them and nothing else."""
    source = Path(str(finders.find("admission/ticket-worker.js"))).read_text(encoding="utf-8")
    response = HttpResponse(source, content_type="text/javascript; charset=utf-8")
    response["Content-Security-Policy"] = WORKER_POLICY
    return response


@allow("GET", "POST")
@login_required
@_secret
def order_tickets(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Lead a buyer to the tickets of an order, by its link; a form makes a new link and revokes the present one."""
    order_id = tickets.order_id_of(buyer_id=actor_id(request), reservation_id=reservation_id)
    if order_id is None:
        raise NotFound()
    if request.method == "POST":
        services.order_link_renew(buyer_id=actor_id(request), reservation_id=reservation_id)
        messages.success(
            request, _("The link in your e-mail does not work any more. This page has a new one.")
        )
    return redirect("tickets_shown", selectors.order_link(order_id=order_id))
