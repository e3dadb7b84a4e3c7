"""No log has the address of an unsent mail, even if the error of the mail server or of Python has it."""

from collections.abc import Callable
from datetime import timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment
from checkout.tests.paying import PAYMENTS, pay, work
from overlord.accounts import tasks
from overlord.accounts.models import EmailCode, StaffInvitation, User
from overlord.mailings import services as mailings
from overlord.mailings.rules import Audience, Kind
from overlord.mailings.selectors import To
from tests.clients import api_of
from tickets.line import mails as line
from tickets.line.models import TurnNotice
from tickets.line.tests.lines import enter, line_make, open_sale, serve_all
from tickets.models import TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)

ZOE = "zoe@zebra.example"
REFUSALS = {
    "SMTPRecipientsRefused 550": SMTPRecipientsRefused({ZOE: (550, f"<{ZOE}>: unknown".encode())}),
    "SMTPDataError 451": SMTPDataError(451, f"greylisted: {ZOE}".encode()),
    "ConnectionRefusedError 111": ConnectionRefusedError(111, f"no mail for {ZOE}"),
    "ValueError": ValueError(f"Invalid address: {ZOE}"),
}


@pytest.fixture(params=REFUSALS)
def said(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every mail fail; return the text that the log may have about it."""

    def refused(*_: Any) -> int:
        raise REFUSALS[request.param]

    monkeypatch.setattr(EmailBackend, "send_messages", refused)
    return str(request.param)


@pytest.fixture
def zoe(user_make: Callable[..., User]) -> User:
    return user_make(email=ZOE)


def check(caplog: pytest.LogCaptureFixture, said: str) -> None:
    told = [each for each in caplog.records if each.name == "overlord.kernel.mail_attempts"]
    assert [said in each.getMessage() for each in told] == [True]
    assert "zebra" not in caplog.text


def test_a_mail_about_an_order_leaves_no_address_in_the_log(
    said: str, zoe: User, ticket_type: TicketType, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_of(zoe)
    held = reserve(api, ticket_type).json()["id"]
    made = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]
    payment = Payment.objects.get(pk=made)
    pay(api, payment)
    work(payment)
    assert checkout.mails_send() == 0
    check(caplog, said)


def test_a_mail_about_a_line_leaves_no_address_in_the_log(
    said: str, zoe: User, ticket_type_make: Callable[..., TicketType], caplog: pytest.LogCaptureFixture
) -> None:
    types = line_make(ticket_type_make, 5)
    enter(types[0], zoe.pk)
    open_sale(types)
    serve_all(types[0])
    TurnNotice.objects.update(next_look_at=timezone.now() - timedelta(seconds=1))
    assert line.turn_notices_send() == 0
    check(caplog, said)


def test_a_message_leaves_no_address_in_the_log(
    said: str, zoe: User, ticket_type: TicketType, caplog: pytest.LogCaptureFixture
) -> None:
    to = To(
        event_id=ticket_type.event_id,
        kind=Kind.EVENT,
        audience=Audience.TICKETS,
        ticket_type=None,
        with_holders=True,
    )
    mailings.trial_send(to=to, staff=zoe, subject="Doors", text="At seven.", key="a" * 32)
    assert mailings.mailings_go_on() == 0
    check(caplog, said)


@pytest.mark.parametrize(
    "task", [tasks.password_reset_send, tasks.second_factor_notice_send, tasks.email_code_send]
)
def test_a_mail_about_an_account_leaves_no_address_in_the_log(
    task: Any, said: str, zoe: User, caplog: pytest.LogCaptureFixture
) -> None:
    later = timezone.now() + timedelta(minutes=1)
    EmailCode.objects.create(user=zoe, email=ZOE, nonce="n", expires_at=later)
    task(user_id=zoe.pk)
    check(caplog, said)


def test_an_unsent_invitation_leaves_no_address_in_the_log_and_is_not_marked_as_sent(
    said: str, user_make: Callable[..., User], caplog: pytest.LogCaptureFixture
) -> None:
    now = timezone.now()
    invitation = StaffInvitation.objects.create(
        email=ZOE, role=Group.objects.create(name="Door"), invited_by=user_make(), created_at=now,
        expires_at=now + timedelta(days=1),
    )  # fmt: skip
    tasks.invitation_send(invitation_id=invitation.pk)
    invitation.refresh_from_db()
    assert invitation.sent_at is None
    check(caplog, said)
