"""The pages of tickets, which a signed link in a mail opens, and their files.

A view translates the request, makes one call, and translates the result.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, texts
from overlord.kernel.csrf import origin_decides
from overlord.kernel.errors import Busy, DomainError, Invalid, NotFound
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.rendering import dumps
from overlord.shop import error_messages, error_pages
from tickets import selectors as tickets
from tickets.admission import documents, hand_over_services, rules, selectors, services, ticket_qr
from tickets.admission.documents import Document
from tickets.admission.pdf_process import NotDrawnError

View = Callable[..., HttpResponse]

EVENT_SHOWN = ("name", "date", "time_zone", "status", "venue", "address")

# A service worker obeys the policy of its own file.
WORKER_POLICY = "default-src 'none'; connect-src 'self'; frame-ancestors 'none'"


def _secret(view: View) -> View:
    """Keep an answer out of caches and search engines, because its address opens the tickets.

    The Referrer-Policy of all pages, `same-origin`, hides the address from other sites. With `no-referrer` a
    browser would send no origin with the page's own forms, and the server would refuse them.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store, private"
        response["X-Robots-Tag"] = "noindex"
        return response

    return guarded


class HolderForm(forms.Form):
    """The name of the person who comes with a ticket, and the e-mail address if the ticket is handed over."""

    ticket = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    issue = WholeNumberField(min_value=1, max_value=rules.MOST_ISSUES)
    holder = forms.CharField(max_length=rules.HOLDER_LENGTH, required=False)
    email = forms.EmailField(max_length=texts.EMAIL_LENGTH, required=False)


@allow("GET", "POST")
@origin_decides
@_secret
def tickets_shown(request: HttpRequest, signed: str) -> HttpResponse:
    """Show the tickets of a link with their QR codes; take the form that names a holder or hands a ticket over."""
    if request.method != "POST":
        return _page(request, signed)
    try:
        _change(request, signed)
    except NotFound:
        raise
    except DomainError as refused:
        return _page(request, signed, refused=refused, typed=_typed(request, refused))
    return _done(request, signed)


def _change(request: HttpRequest, signed: str) -> None:
    reach = selectors.reach_of_link(signed)
    form = HolderForm(request.POST)
    if not form.is_valid():
        field, sentences = next(iter(form.errors.items()))
        raise Invalid(str(sentences[0]), errors={field: sentences})
    given = form.cleaned_data
    about = {"reach": reach, "ticket_id": given["ticket"], "holder": given["holder"], "seen": given["issue"]}
    if "hand_over" not in request.POST:
        hand_over_services.ticket_rename(**about, now=clock.now())
    elif not given["email"]:
        sentence = _("Enter the e-mail address of the person who gets the ticket.")
        raise Invalid(sentence, errors={"email": [sentence]})
    else:
        hand_over_services.ticket_hand_over(**about, email=given["email"], now=clock.now())


def _typed(request: HttpRequest, refused: DomainError) -> dict[str, str]:
    """Return the typed fields of a refused form, with the id of its ticket and the name of the wrong field."""
    given, wrong = request.POST, next(iter(refused.facts.get("errors", ())), "")
    typed = {"ticket": given.get("ticket", ""), "wrong": wrong}
    if "hand_over" not in given:
        return {**typed, "name": given.get("holder", ""), "wrong": "name" if wrong == "holder" else wrong}
    return {**typed, "email": given.get("email", ""), "holder": given.get("holder", "")}


def _done(request: HttpRequest, signed: str) -> HttpResponse:
    """Redirect to the page. If the link has ended, because its holder handed the ticket over, say so instead."""
    try:
        selectors.reach_of_link(signed)
    except NotFound:
        return render(request, "admission/handed_over.html")
    return redirect("tickets_shown", signed)


def _page(
    request: HttpRequest,
    signed: str,
    *,
    refused: DomainError | None = None,
    typed: Mapping[str, str] | None = None,
) -> HttpResponse:
    now, about = clock.now(), (typed or {}).get("ticket")
    # The version is read first, so that the page is never older than its version.
    live = services.tickets_live(signed=signed, now=now)
    found = services.tickets_of_link(signed=signed, now=now)
    context = {
        "live": dumps(live).decode(),
        "signed": signed,
        "event": {name: found[0][f"event_{name}"] for name in EVENT_SHOWN},
        "tickets": [
            {
                **ticket,
                "qr": _qr(ticket),
                "typed": typed if str(ticket["id"]) == about else None,
            }
            for ticket in found
        ],
        "is_valid": any(ticket["code"] for ticket in found),
        "error": error_messages.of_error(refused) if refused else None,
        "now": now,
    }
    return error_pages.page_of_view(request, "admission/tickets.html", context, refused=refused)


def _qr(ticket: Mapping[str, Any]) -> str | None:
    if ticket["code"] is None:
        return None
    title = _("QR code of ticket %(serial)s") % {"serial": ticket["serial"]}
    return mark_safe(ticket_qr.svg(ticket["code"], title=title))  # noqa: S308  (our own drawing)


@allow("GET")
@_secret
def tickets_pdf(_request: HttpRequest, signed: str) -> HttpResponse:
    """Answer with a PDF of those tickets of a link that open the door."""
    found = services.tickets_of_link(signed=signed, now=clock.now())
    try:
        document = documents.tickets_pdf(found, order_id=found[0]["order"])
    except NotDrawnError as error:
        raise Busy() from error
    if document is None:
        raise NotFound()
    return _file(document)


@allow("GET")
@_secret
def event_calendar(_request: HttpRequest, signed: str) -> HttpResponse:
    """Answer with a calendar file of the event of a link's tickets."""
    now = clock.now()
    found = services.tickets_of_link(signed=signed, now=now)
    return _file(documents.event_calendar(found, order_id=found[0]["order"], now=now))


def _file(document: Document) -> HttpResponse:
    response = HttpResponse(document.content, content_type=document.kind)
    response["Content-Disposition"] = f'inline; filename="{document.name}"'
    return response


@allow("GET")
def ticket_worker(_request: HttpRequest) -> HttpResponse:
    """Answer with the script of the service worker. Because of its path, the worker serves only tickets' pages."""
    source = Path(str(finders.find("admission/ticket-worker.js"))).read_text(encoding="utf-8")
    response = HttpResponse(source, content_type="text/javascript; charset=utf-8")
    response["Content-Security-Policy"] = WORKER_POLICY
    return response


@allow("GET", "POST")
@login_required
@_secret
def order_tickets(request: HttpRequest, reservation_id: int) -> HttpResponse:
    """Redirect a buyer to the link to an order's tickets. POST first replaces the link by a new one."""
    order_id = tickets.order_id_of(buyer_id=actor_id(request), reservation_id=reservation_id)
    if order_id is None:
        raise NotFound()
    if request.method == "POST":
        services.order_link_renew(buyer_id=actor_id(request), reservation_id=reservation_id)
        messages.success(
            request, _("The link in your mail no longer works. From now on, use the address of this page.")
        )
    return redirect("tickets_shown", selectors.order_link(order_id=order_id))
