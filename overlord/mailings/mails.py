"""Write a message as a mail: as plain text, and as HTML made from its Markdown.

Runs in the upkeep worker, and in web processes for previews.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from overlord.mailings import links
from overlord.mailings.models import Recipient
from overlord.mailings.rules import Kind
from overlord.shop import formats, look, markdown
from tickets.models import Event


@dataclass(frozen=True, kw_only=True)
class Written:
    """The plain text and the HTML of a mail, in the language of its reader."""

    text: str
    html: str


def written(*, event: Event, text: str, kind: Kind, stop: str) -> Written:
    """Return the text and the HTML of a message to people who have tickets of an event.

    A message of the kind NEWS also contains `stop`, the link to unsubscribe.
    """
    shop = look.current()
    facts: dict[str, Any] = {
        "event": event,
        "date": formats.date_time(event.date, event.time_zone),
        "text": text,
        "html": markdown.to_html(text),
        "stop": stop if kind == Kind.NEWS else "",
        "seller": [shop.seller, *shop.seller_address.splitlines()],
    }
    return Written(
        text=render_to_string("mailings/mail.txt", facts), html=render_to_string("mailings/mail.html", facts)
    )


def message(*, recipient: Recipient, address_hash: str) -> EmailMessage:
    """Return the mail to one recipient. The caller has activated the recipient's language."""
    mailing = recipient.mailing
    stop = stop_address(address_hash)
    mail = written(event=mailing.event, text=mailing.text, kind=Kind(mailing.kind), stop=stop)
    headers = {"Message-ID": f"<message-{mailing.pk}-{recipient.pk}@ticket-overlord>"}
    if mailing.kind == Kind.NEWS:  # RFC 8058: mail programs show a button to unsubscribe
        headers["List-Unsubscribe"] = f"<{stop}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    found = EmailMultiAlternatives(
        subject=mailing.subject, body=mail.text, to=[recipient.address], headers=headers, **look.envelope()
    )
    found.attach_alternative(mail.html, "text/html")
    return found


def stop_address(address_hash: str) -> str:
    """Return the URL at which the owner of an e-mail address stops news."""
    return f"{settings.BASE_URL}{reverse('news', args=[links.link_sign(address_hash)])}"
