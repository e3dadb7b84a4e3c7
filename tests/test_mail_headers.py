"""No mail that we send has a line end in a header, where it would begin another header."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import BadHeaderError
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import services
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS, heal, pay, work
from overlord.accounts import services as accounts
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.mailings import services as mailings
from overlord.mailings.models import Mailing
from overlord.mailings.rules import Audience, Kind
from overlord.mailings.selectors import To
from tickets import event_operations
from tickets.admission.models import Ticket
from tickets.event_rules import PlaceAndTime
from tickets.line import mails as line
from tickets.line.models import Entry
from tickets.models import Event, Reservation, TicketType
from tickets.tests.reserving import reserve

APPS = ("overlord", "tickets", "checkout", "realtime", "stats")
INJECTED = "Doors\r\nBcc: everybody@example.org"
KINDS = {  # by the beginning of their Message-ID; the mail with the link to a new password has none of ours
    *("receipt", "hand-over", "moved", "holder", "refund", "cancelled", "turn", "message", "reset"),
}


def modules_that_write_mails() -> dict[str, set[str]]:
    """Return the names that each of our modules imports to write or send mails."""
    found: dict[str, set[str]] = {}
    for app in APPS:
        for file in sorted((Path(settings.BASE_DIR) / app).rglob("*.py")):
            if "tests" in file.relative_to(settings.BASE_DIR).parts:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                names = []
                if isinstance(node, ast.ImportFrom):
                    names = [f"{node.module}.{each.name}" for each in node.names]
                elif isinstance(node, ast.Import):
                    names = [each.name for each in node.names]
                mails = {name for name in names if name.startswith(("django.core.mail", "smtplib", "email."))}
                if mails:
                    found.setdefault(str(file.relative_to(settings.BASE_DIR)), set()).update(mails)
    return found


@pytest.mark.slow
def test_mails_are_written_by_djangos_classes_alone() -> None:
    """Allow only these, because they refuse a line end in a header."""
    classes = {f"django.core.mail.{name}" for name in ("EmailMessage", "EmailMultiAlternatives")}
    sending = {"django.core.mail.get_connection", "django.core.mail.backends.base.BaseEmailBackend"}
    reading = {f"smtplib.SMTP{name}" for name in ("DataError", "RecipientsRefused", "ResponseException")}
    # For the address of a sender, which Django then checks.
    addresses = {"email.headerregistry.Address", "email.utils.parseaddr"}
    addresses |= {"email.policy", "email.errors.ObsoleteHeaderDefect"}
    others = {
        file: left
        for file, names in modules_that_write_mails().items()
        if (left := names - classes - sending - reading - addresses)
    }
    assert others.keys() == {"overlord/demo/mailbox.py"}, "the demo's mailbox reads mails that were sent"
    assert len(modules_that_write_mails()) > 5


def mails_of_all_kinds(api: APIClient, buyer: User, ticket_type: TicketType, staff: User) -> list[Any]:
    """Let each kind of mail be sent once, and return them by kind."""
    held = reserve(api, ticket_type, 2).json()["id"]
    made = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]
    payment = Payment.objects.get(pk=made)
    pay(api, payment)
    work(payment)
    services.mails_send()
    ticket = Ticket.objects.order_by("pk")[0]
    place = f"/event/reservations/{held}/tickets/{ticket.pk}/hand-over/"
    api.post(place, {"email": "friend@example.org", "holder": "Grace"}, format="json")
    event = Event.objects.get()
    with db.transaction():
        before = PlaceAndTime(date=event.date, time_zone=event.time_zone, venue="Town Hall", address="")
        event_operations.move_notices_owe(event_id=event.pk, before=before, now=db.now())
    services.refund_request(staff_id=staff.pk, payment_id=payment.pk, amount_minor=100, return_tickets=False)
    heal(rounds=2)
    services.mails_send()  # nobody is told the move of a cancelled event
    services.event_cancel(
        staff_id=staff.pk, event_id=event.pk, version=Event.objects.get().version, message=""
    )
    services.cancellations_go_on()
    while services.mails_send():
        pass
    to = To(
        event_id=event.pk, kind=Kind.NEWS, audience=Audience.EVERYONE, ticket_type=None, with_holders=False
    )
    mailings.mailing_send(to=to, staff_id=staff.pk, subject="Doors", text="At seven.", key="a" * 32)
    mailings.mailings_go_on()
    accounts.password_reset_send(user_id=buyer.pk, base_url="https://tickets.example.org")
    order = Reservation.objects.select_related("ticket_type__event", "buyer").get(pk=held)
    return [*mail.outbox, line._turn_mail(Entry(pk=1), order)]


def kind_of(message: Any) -> str:
    name = message.extra_headers.get("Message-ID", "<reset")[1:]
    return next(kind for kind in sorted(KINDS, key=len, reverse=True) if name.startswith(kind))


@pytest.mark.django_db(transaction=True)
def test_each_mail_refuses_a_line_end_in_each_header(
    api: APIClient, buyer: User, ticket_type: TicketType, user_make: Callable[..., User], settings: Any
) -> None:
    settings.MAILINGS_PER_MINUTE = 1000
    found = mails_of_all_kinds(api, buyer, ticket_type, user_make(is_staff=True))

    assert {kind_of(message) for message in found} == KINDS
    for message in found:
        message.message()  # without a line end it can be sent
        for header, value in (
            ("subject", INJECTED),
            ("from_email", f"shop@example.org{INJECTED}"),
            ("to", [f"a@example.org{INJECTED}"]),
            ("cc", [f"a@example.org{INJECTED}"]),
            ("reply_to", [f"a@example.org{INJECTED}"]),
            ("extra_headers", {"List-Unsubscribe": INJECTED}),
        ):
            kept = getattr(message, header)
            setattr(message, header, value)
            with pytest.raises(BadHeaderError):
                message.message()
            setattr(message, header, kept)


@pytest.mark.django_db(transaction=True)
def test_a_sender_with_a_line_end_sends_nothing_and_is_kept_as_a_failure(
    buyer: User, ticket_type: TicketType, user_make: Callable[..., User], settings: Any
) -> None:
    settings.DEFAULT_FROM_EMAIL = f"shop@example.org\r\n{INJECTED}"
    to = To(
        event_id=ticket_type.event_id,
        kind=Kind.EVENT,
        audience=Audience.TICKETS,
        ticket_type=None,
        with_holders=True,
    )
    staff = user_make(is_staff=True)
    mailings.trial_send(to=to, staff=staff, subject="Doors", text="x", key="a" * 32)
    assert mailings.mailings_go_on() == 0
    assert mail.outbox == []
    [failed] = Mailing.objects.get().recipients.all()
    assert "newlines" in failed.reason


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\x0b", "\u2028", "\x85"])
def test_the_database_keeps_line_ends_out_of_what_subjects_are_made_of(
    end: str, ticket_type: TicketType, buyer: User
) -> None:
    with pytest.raises(IntegrityError, match="event_name_on_one_line"):
        Event.objects.update(name=f"Doors{end}Bcc: x@example.org")
    known = {"event": ticket_type.event, "author": buyer, "kind": "news", "audience": "tickets", "text": "x"}
    with pytest.raises(IntegrityError, match="mailing_subject_on_one_line"):
        Mailing.objects.create(
            **known,
            subject=f"Doors{end}Bcc: x@example.org",
            with_holders=True,
            is_trial=False,
            key="a",
            created=timezone.now(),
        )
