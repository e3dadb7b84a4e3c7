"""The organiser's pages of messages to buyers: write a message, preview it, send it, see its progress.

The views decide nothing: each reads the request, calls services of other apps, and shows the result. The pages work
without JavaScript.
"""

import secrets
from http import HTTPStatus
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import ngettext

from overlord.accounts.models import User
from overlord.accounts.selectors import actor_id
from overlord.box_office import selectors as office
from overlord.kernel.errors import Invalid, Mismatch, NotFound
from overlord.kernel.methods import allow
from overlord.mailings import mails, rules, selectors, services
from overlord.mailings.permissions import Permission
from overlord.mailings.rules import Audience, Kind
from overlord.mailings.selectors import To
from overlord.shop import error_messages, formats, markdown
from overlord.shop.look import current as look_of_shop
from overlord.shop.permissions import staff_with
from tickets.models import Event

SHOWN = 50
FAILURES_SHOWN = 200
RELOAD_SECONDS = 4

KINDS = {
    Kind.EVENT: _lazy("About this event"),
    Kind.NEWS: _lazy("News"),
}
AUDIENCES = {
    Audience.TICKETS: _lazy("Everybody who has tickets"),
    Audience.NOT_ADMITTED: _lazy("People who have not been admitted yet"),
    Audience.EVERYONE: _lazy("Everybody who ever bought a ticket, including those who got a refund"),
}


class MessageForm(forms.Form):
    """A message and its recipients."""

    subject = forms.CharField(
        label=_lazy("Subject"),
        max_length=rules.SUBJECT_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    text = forms.CharField(
        label=_lazy("Message"),
        max_length=rules.TEXT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text=_lazy("Plain text or Markdown, as in the description of an event."),
    )
    kind = forms.ChoiceField(
        label=_lazy("Kind of message"),
        choices=[(kind.value, text) for kind, text in KINDS.items()],
        help_text=_lazy(
            "Each news mail has an unsubscribe link. People who have unsubscribed do not get news."
        ),
    )
    audience = forms.ChoiceField(
        label=_lazy("To"), choices=[(each.value, text) for each, text in AUDIENCES.items()]
    )
    ticket_type = forms.TypedChoiceField(
        label=_lazy("Ticket type"), required=False, coerce=int, empty_value=None
    )
    with_holders = forms.BooleanField(
        label=_lazy("Also send to people to whom a ticket was handed over"), required=False, initial=True
    )
    key = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)
    # The choice of recipients in the last preview. A message with another choice is not sent.
    previewed = forms.CharField(max_length=100, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, event: Event, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.event = event
        types = [(str(each.pk), each.name) for each in office.ticket_types(event_id=event.pk)]
        field: Any = self.fields["ticket_type"]
        field.choices = [("", _("All ticket types")), *types]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, read in (("subject", rules.subject_read), ("text", rules.text_read)):
            try:
                cleaned[name] = read(cleaned[name]) if name in cleaned else None
            except Invalid as refused:
                self.add_error(name, error_messages.detail_of(refused))
        return cleaned

    def to(self) -> To:
        """Return the choice of recipients in a valid form."""
        given = self.cleaned_data
        return To(
            event_id=self.event.pk,
            kind=Kind(given["kind"]),
            audience=Audience(given["audience"]),
            ticket_type=given["ticket_type"],
            with_holders=given["with_holders"],
        )

    def recipients(self) -> str:
        """Return the choice of recipients as a text, for `previewed`."""
        to = self.to()
        holders = "with holders" if to.with_holders else "buyers only"
        return ", ".join([to.kind, to.audience, str(to.ticket_type or "all types"), holders])


@allow("GET", "POST")
@staff_with(Permission.SEND_MESSAGES)
def messages_page(request: HttpRequest, event_id: int) -> HttpResponse:
    """List the messages of an event. Preview a new one, send it to its author only, or to its recipients."""
    event = office.event_published(event_id=event_id)
    if request.method != "POST":
        return _page(request, event, MessageForm(event=event, initial={"key": secrets.token_hex(16)}))
    form = MessageForm(request.POST, event=event)
    if not form.is_valid():
        return _page(request, event, form, status=HTTPStatus.BAD_REQUEST)
    deed, given = request.POST.get("deed"), form.cleaned_data
    written = {"subject": given["subject"], "text": given["text"], "to": form.to()}
    if deed == "try" and isinstance(request.user, User) and not request.user.mail_address:
        form.add_error(None, _("Nothing was sent, because your account has no e-mail address."))
        return _page(request, event, form, look=True, status=HTTPStatus.CONFLICT)
    if deed == "try" and isinstance(request.user, User):
        services.trial_send(staff=request.user, key=secrets.token_hex(16), **written)
        sentence = _("The message is on its way to %(address)s.")
        messages.success(request, sentence % {"address": request.user.mail_address})
    if deed == "send" and given["previewed"] != form.recipients():
        form.add_error(None, _("Nothing was sent, because the recipients are not those of the preview."))
        return _page(request, event, form, look=True, status=HTTPStatus.CONFLICT)
    if deed == "send":
        try:
            mailing_id = services.mailing_send(staff_id=actor_id(request), key=given["key"], **written)
        except Mismatch:
            again = _with_another_key(request, event)
            return _page(request, event, again, look=True, status=HTTPStatus.CONFLICT)
        messages.success(request, _("The message is being sent."))
        return redirect("office_message", event_id, mailing_id)
    return _page(request, event, form, look=True)


def _with_another_key(request: HttpRequest, event: Event) -> MessageForm:
    """Return the sent form with a new key and an error. Its old key belongs to a message that was sent before."""
    sent = request.POST.copy()
    sent["key"] = secrets.token_hex(16)
    form = MessageForm(sent, event=event)
    sentence = _(
        "Nothing was sent, because this form was already used for another message. Press Send"
        " again to send this message too."
    )
    form.add_error(None, sentence)
    return form


def _page(
    request: HttpRequest, event: Event, form: MessageForm, *, look: bool = False, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {
        "event": event,
        "form": form,
        "mailings": selectors.mailings(event_id=event.pk, most=SHOWN),
        "kinds": KINDS,
        "audiences": AUDIENCES,
        "per_minute": settings.MAILINGS_PER_MINUTE,
    }
    if look:
        form.data = {**{name: form.data[name] for name in form.data}, "previewed": form.recipients()}
        given, shop = form.cleaned_data, look_of_shop()
        kind = Kind(given["kind"])
        stop = mails.stop_address("0" * 64) if kind == Kind.NEWS else ""
        context |= {
            "look": given,
            "html": markdown.to_html(given["text"]),
            "plain": mails.written(event=event, text=given["text"], kind=kind, stop=stop).text,
            "is_news": kind == Kind.NEWS,
            "count": selectors.recipients_count(to=form.to()),
            "sender": shop.sender,
            "date": formats.date_time(event.date, event.time_zone),
            "seller": [shop.seller, *shop.seller_address.splitlines()],
        }
    return render(request, "box_office/messages.html", context, status=status)


@allow("GET")
@staff_with(Permission.SEND_MESSAGES)
def message_page(request: HttpRequest, event_id: int, mailing_id: int) -> HttpResponse:
    """Show the progress of a message, and its failed mails."""
    mailing = selectors.mailing(event_id=event_id, mailing_id=mailing_id)
    if mailing is None:
        raise NotFound()
    found = selectors.progress(mailing_id=mailing_id)
    context = {
        "event": mailing.event,
        "mailing": mailing,
        "audience": AUDIENCES[Audience(mailing.audience)],
        "kind": KINDS[Kind(mailing.kind)],
        "found": found,
        "sent": mailing.sent if mailing.finished_at else found["sent"],
        "html": markdown.to_html(mailing.text),
        "failures": selectors.failures(mailing_id=mailing_id, most=FAILURES_SHOWN),
        "reload_seconds": RELOAD_SECONDS,
    }
    response = render(request, "box_office/message.html", context)
    if found["waiting"]:
        response["Refresh"] = str(RELOAD_SECONDS)
    return response


@allow("GET", "POST")
@staff_with(Permission.SEND_MESSAGES)
def message_retry(request: HttpRequest, event_id: int, mailing_id: int) -> HttpResponse:
    """Send the failed mails of a message again."""
    if request.method == "POST":
        count = services.failed_retry(staff_id=actor_id(request), event_id=event_id, mailing_id=mailing_id)
        sentence = ngettext("%(n)s mail is being sent again.", "%(n)s mails are being sent again.", count)
        messages.success(request, sentence % {"n": formats.number(count)})
    return redirect("office_message", event_id, mailing_id)
