"""Messages to buyers: their recipients, each once, at the set pace, and failures."""

import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from smtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from checkout import services as checkout
from overlord.accounts.models import User
from overlord.journal.models import JournalEntry
from overlord.kernel import db
from overlord.kernel.mail_attempts import LEASE
from overlord.mailings import operations, rules, selectors, services
from overlord.mailings.models import Mailing, Recipient, Unsubscription
from overlord.mailings.rules import Audience, Kind, has_room
from overlord.mailings.selectors import To
from tests.threads import together
from tickets.admission.models import Ticket
from tickets.models import Event, Reservation, TicketType
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def pace(settings: Any) -> Any:
    """Let mails be sent without a pace, unless a test sets one."""
    settings.MAILINGS_PER_MINUTE = 100_000
    return settings


def buy(user: User, ticket_type: TicketType, quantity: int = 1) -> list[Ticket]:
    held = claim(user.pk, ticket_type, quantity).reservation["id"]
    Reservation.objects.filter(pk=held).update(state="validated", validated_at=timezone.now())
    return list(Ticket.objects.filter(reservation=held).order_by("seat"))


def to_all(event: Event, **changed: Any) -> To:
    asked = {"kind": Kind.EVENT, "audience": Audience.TICKETS, "ticket_type": None, "with_holders": True}
    return To(event_id=event.pk, **{**asked, **changed})


def send(staff: User, to: To, *, key: str = "a" * 32, text: str = "Doors open at **seven**.") -> Mailing:
    pk = services.mailing_send(to=to, staff_id=staff.pk, subject="Doors", text=text, key=key)
    return Mailing.objects.get(pk=pk)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> User:
    return user_make(is_staff=True)


class TestWho:
    @pytest.fixture
    def people(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> dict[str, Any]:
        """Sell three types: Ada has come, Bob handed a ticket to Cleo, Dora's tickets were revoked."""
        first = ticket_type_make()
        second = ticket_type_make(event=first.event)
        ada, bob, dora = (user_make(username=name) for name in ("ada", "bob", "dora"))
        buy(ada, first)
        [came] = buy(ada, second)
        Ticket.objects.filter(pk=came.pk).update(state="admitted", admitted_at=timezone.now())
        Ticket.objects.filter(reservation__buyer=ada, state="valid").update(
            state="admitted", admitted_at=timezone.now()
        )
        [handed] = buy(bob, second)
        Ticket.objects.filter(pk=handed.pk).update(handed_to="cleo@example.org")
        buy(dora, first)
        Ticket.objects.filter(reservation__buyer=dora).update(state="revoked", revoked_at=timezone.now())
        buy(user_make(username="other"), ticket_type_make())
        return {"event": first.event, "first": first.pk, "second": second.pk}

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({}, "ada bob cleo"),
            ({"with_holders": False}, "ada bob"),
            ({"ticket_type": "first"}, "ada"),
            ({"audience": Audience.NOT_ADMITTED}, "bob cleo"),
            ({"audience": Audience.EVERYONE, "with_holders": False}, "ada bob dora"),
        ],
    )
    def test_a_message_goes_to_the_chosen_people_once_each(
        self, staff: User, people: dict[str, Any], asked: dict[str, Any], expected: str
    ) -> None:
        if "ticket_type" in asked:
            asked = {**asked, "ticket_type": people[asked["ticket_type"]]}
        to = to_all(people["event"], **asked)

        mailing = send(staff, to)

        found = sorted(
            each.partition("@")[0] for each in mailing.recipients.values_list("address", flat=True)
        )
        assert " ".join(found) == expected
        assert selectors.recipients_count(to=to) == mailing.addressed == len(found)

    def test_one_address_in_two_spellings_gets_one_mail(
        self, staff: User, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        [ticket] = buy(user_make(username="ada"), ticket_type)
        Ticket.objects.filter(pk=ticket.pk).update(handed_to="ADA@example.org")
        assert send(staff, to_all(ticket_type.event)).addressed == 1

    def test_the_database_refuses_a_second_mail_to_one_address(
        self, staff: User, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        buy(user_make(username="ada"), ticket_type)
        mailing = send(staff, to_all(ticket_type.event))
        with pytest.raises(IntegrityError, match="recipient_once_in_a_mailing"):
            Recipient.objects.create(mailing=mailing, address="Ada@example.org")

    def test_the_same_form_sends_once(
        self, staff: User, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        buy(user_make(), ticket_type)
        to = to_all(ticket_type.event)
        together(*[lambda: send(staff, to)] * 3)
        assert Mailing.objects.count() == Recipient.objects.count() == 1
        assert [entry.facts["count"] for entry in JournalEntry.objects.all()] == [1]

    def test_ten_thousand_recipients_take_no_memory_in_this_process(
        self, staff: User, buyer: User, ticket_type: TicketType
    ) -> None:
        [ticket] = buy(buyer, ticket_type)
        db.rows(
            "INSERT INTO admission_ticket (reservation_id, event_id, seat, serial, issue, holder, handed_to, state,"
            " admitted_gate, changed) SELECT reservation_id, event_id, 1 + n, 'T' || n, 1, '', n || '@example.org',"
            " 'valid', '', 0 FROM admission_ticket, generate_series(1, 10000) n WHERE id = %s",
            [ticket.pk],
        )
        to = to_all(ticket_type.event)
        send(staff, to, key="b" * 32)  # imports and caches are filled
        tracemalloc.start()
        try:
            mailing = send(staff, to)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert mailing.addressed == 10_001
        assert peak < 1_000_000


class TestSending:
    @pytest.fixture
    def mailing(self, staff: User, user_make: Callable[..., User], ticket_type: TicketType) -> Mailing:
        """Write to three buyers."""
        for name in ("ada", "bob", "cleo"):
            buy(user_make(username=name), ticket_type)
        return send(staff, to_all(ticket_type.event))

    def test_each_recipient_gets_it_once_as_text_and_html(self, mailing: Mailing) -> None:
        assert sum(each or 0 for each in together(*[services.mailings_go_on] * 3)) == 3
        assert services.mailings_go_on() == 0

        assert sorted(each.to[0] for each in mail.outbox) == [
            "ada@example.org",
            "bob@example.org",
            "cleo@example.org",
        ]
        message: Any = mail.outbox[0]
        assert message.subject == "Doors"
        assert "Doors open at **seven**." in message.body
        assert mailing.event.name in message.body
        assert "<strong>seven</strong>" in message.alternatives[0][0]
        assert "List-Unsubscribe" not in message.extra_headers
        mailing.refresh_from_db()
        assert (mailing.sent, mailing.finished_at is not None) == (3, True)

    def test_html_in_a_message_is_text(self, staff: User, buyer: User, ticket_type: TicketType) -> None:
        buy(buyer, ticket_type)
        send(staff, to_all(ticket_type.event), text="<script>x</script> [a](javascript:x)")
        services.mailings_go_on()
        message: Any = mail.outbox[0]
        html = message.alternatives[0][0]
        assert "<script" not in html
        assert 'href="javascript:' not in html

    def test_a_worker_that_dies_leaves_one_mail_in_doubt_and_the_others_once(
        self, mailing: Mailing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Killed(BaseException):
            pass

        def killed(**_: Any) -> None:
            raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(operations, "recipient_sent", killed)
            with pytest.raises(Killed):
                services.mailings_go_on()
        assert len(mail.outbox) == 1
        assert services.mailings_go_on() == 2
        assert services.mailings_go_on() == 0, "the one in doubt is claimed until its lease ends"
        Recipient.objects.filter(next_look_at__isnull=False).update(next_look_at=timezone.now())
        assert services.mailings_go_on() == 1

        ids = [str(each.message()["Message-ID"]) for each in mail.outbox]
        assert ids[0] == ids[-1], "mail programs recognise it"
        assert len(set(ids)) == 3

    def test_two_workers_never_claim_the_same_mail(self, mailing: Mailing, settings: Any) -> None:
        def claimed() -> int | None:
            with db.transaction():
                return operations.recipient_claim(per_minute=100_000, now=db.now())

        found = together(*[claimed] * 5)
        assert sorted(each for each in found if each is not None) == sorted(
            mailing.recipients.values_list("pk", flat=True)
        )
        assert found.count(None) == 2

    def test_mails_are_sent_at_the_set_pace(
        self, mailing: Mailing, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rules, "TICK", timedelta(hours=1))  # no machine is so slow
        monkeypatch.setattr(rules, "MINUTE", timedelta(hours=12))
        settings.MAILINGS_PER_MINUTE = 24  # two mails in a TICK
        assert services.mailings_go_on() == 2
        assert services.mailings_go_on() == 0
        Recipient.objects.exclude(claimed_at=None).update(claimed_at=timezone.now() - timedelta(hours=2))
        assert services.mailings_go_on() == 1

    def test_messages_go_on_after_the_clock_was_set_back(
        self, mailing: Mailing, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rules, "TICK", timedelta(hours=1))
        monkeypatch.setattr(rules, "MINUTE", timedelta(hours=12))
        settings.MAILINGS_PER_MINUTE = 24
        assert services.mailings_go_on() == 2
        Recipient.objects.exclude(claimed_at=None).update(claimed_at=timezone.now() + timedelta(days=1))
        assert services.mailings_go_on() == 1

    @pytest.mark.parametrize(
        ("per_minute", "last_minute", "last_tick", "expected"),
        [
            (1, 0, 0, True),
            (1, 1, 0, False),
            (300, 299, 24, True),
            (300, 200, 25, False),
            (300, 300, 0, False),
        ],
    )
    def test_the_pace_bounds_a_minute_and_spreads_it(
        self, per_minute: int, last_minute: int, last_tick: int, expected: bool
    ) -> None:
        room = has_room(per_minute=per_minute, last_minute=last_minute, last_tick=last_tick)
        assert room is expected

    def test_a_failed_mail_is_stored_with_its_reason_and_tried_again(
        self, mailing: Mailing, staff: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent = EmailBackend.send_messages

        def refused(self: EmailBackend, messages: list[Any]) -> int:
            if messages[0].to == ["bob@example.org"]:
                raise SMTPRecipientsRefused({"bob@example.org": (550, b"No such user")})
            return sent(self, messages)

        with monkeypatch.context() as patched:
            patched.setattr(EmailBackend, "send_messages", refused)
            assert services.mailings_go_on() == 2
        [failed] = selectors.failures(mailing_id=mailing.pk, most=10)
        assert (failed.address, failed.reason) == ("bob@example.org", "550 No such user")

        again = services.failed_retry(staff_id=staff.pk, event_id=mailing.event_id, mailing_id=mailing.pk)
        assert again == 1
        assert services.mailings_go_on() == 1
        assert selectors.failures(mailing_id=mailing.pk, most=10) == []
        assert len({each.to[0] for each in mail.outbox}) == len(mail.outbox) == 3

    @pytest.mark.parametrize("code", [450, 550])
    @pytest.mark.parametrize("is_in_flight", [False, True])
    def test_the_mail_servers_answer_is_erased_with_the_person(
        self, mailing: Mailing, monkeypatch: pytest.MonkeyPatch, code: int, is_in_flight: bool
    ) -> None:
        bob = User.objects.get(email="bob@example.org")

        def refused(_: EmailBackend, messages: list[Any]) -> int:
            if is_in_flight and messages[0].to == [bob.email]:
                checkout.person_erase(user_id=bob.pk)
            raise SMTPRecipientsRefused({bob.email: (code, b"<bob@example.org>: unknown")})

        monkeypatch.setattr(EmailBackend, "send_messages", refused)
        services.mailings_go_on()
        kept = Recipient.objects.get(person=bob)
        assert ("bob@" in kept.reason) is not is_in_flight
        if not is_in_flight:
            checkout.person_erase(user_id=bob.pk)
        kept.refresh_from_db()
        assert (kept.address, kept.reason, kept.next_look_at) == ("", "", None)

    def test_mails_are_tried_again_when_the_mail_server_does_not_answer(
        self, mailing: Mailing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(self: EmailBackend, messages: list[Any]) -> int:
            raise ConnectionRefusedError("away")

        with monkeypatch.context() as patched:
            patched.setattr(EmailBackend, "send_messages", away)
            assert services.mailings_go_on() == 0
        assert Recipient.objects.filter(next_look_at__gt=timezone.now(), failed_at=None).count() == 3
        Recipient.objects.update(next_look_at=timezone.now())
        assert services.mailings_go_on() == 3

    @pytest.mark.parametrize(
        ("refusal", "is_final"),
        [
            (SMTPAuthenticationError(535, b"Wrong password"), False),
            (SMTPConnectError(554, b"Not now"), False),
            (SMTPSenderRefused(550, b"You sent enough today", "shop@example.org"), False),
            (SMTPDataError(451, b"Later"), False),
            (SMTPDataError(554, b"This is spam"), True),
            (SMTPRecipientsRefused({"ada@example.org": (450, b"Mailbox is full")}), False),
        ],
    )
    def test_only_an_error_about_the_mail_itself_ends_it(
        self, mailing: Mailing, monkeypatch: pytest.MonkeyPatch, refusal: Exception, is_final: bool
    ) -> None:
        def refused(self: EmailBackend, messages: list[Any]) -> int:
            raise refusal

        monkeypatch.setattr(EmailBackend, "send_messages", refused)
        services.mailings_go_on()
        assert mailing.recipients.filter(failed_at__isnull=False).count() == (3 if is_final else 0)
        assert mailing.recipients.exclude(reason="").count() == 3

    def test_a_trial_goes_to_its_author_before_all_waiting_mails(self, mailing: Mailing, staff: User) -> None:
        services.trial_send(to=to_all(mailing.event), staff=staff, subject="Doors", text="x", key="c" * 32)
        services.mailings_go_on()
        assert mail.outbox[0].to == [staff.email]
        assert [each.pk for each in selectors.mailings(event_id=mailing.event_id, most=9)] == [mailing.pk]

    def test_old_mails_and_trials_are_deleted_and_the_message_stays(
        self, mailing: Mailing, staff: User
    ) -> None:
        services.mailings_go_on()
        old = timezone.now() - timedelta(days=31)
        Mailing.objects.update(finished_at=old)
        services.rows_prune(before=timezone.now() - timedelta(days=30))
        assert not Recipient.objects.exists()
        mailing.refresh_from_db()
        assert mailing.sent == 3

    def test_the_lease_is_longer_than_sending_may_take(self, settings: Any) -> None:
        assert LEASE.total_seconds() > 4 * settings.EMAIL_TIMEOUT


class TestNews:
    @pytest.fixture
    def link(self, staff: User, user_make: Callable[..., User], ticket_type: TicketType) -> str:
        """Send news to two buyers, and return the link of the first one's mail."""
        for name in ("ada", "bob"):
            buy(user_make(username=name), ticket_type)
        send(staff, to_all(ticket_type.event, kind=Kind.NEWS))
        services.mailings_go_on()
        first = next(each for each in mail.outbox if each.to == ["ada@example.org"])
        header = first.extra_headers["List-Unsubscribe"]
        assert first.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert header.strip("<>") in first.body
        mail.outbox.clear()
        return "/" + header.strip("<>").split("/", 3)[3]

    def test_a_person_who_wants_no_news_gets_only_mails_about_the_own_tickets(
        self, link: str, staff: User, ticket_type: TicketType
    ) -> None:
        browser = Client(headers={"accept": "text/html"})
        assert b"unsubscribe from news of this shop?" in browser.get(link).content
        assert not Unsubscription.objects.exists(), "a GET changes nothing"
        assert browser.post(link, {"List-Unsubscribe": "One-Click"}).status_code == 200
        assert b"You have unsubscribed from news" in browser.get(link).content

        send(staff, to_all(ticket_type.event, kind=Kind.NEWS), key="b" * 32)
        send(staff, to_all(ticket_type.event), key="c" * 32)
        services.mailings_go_on()

        assert sorted(each.to[0] for each in mail.outbox) == [
            "ada@example.org",
            "bob@example.org",
            "bob@example.org",
        ]
        browser.post(link, {"news": "yes"})
        assert not Unsubscription.objects.exists()

    def test_a_person_who_stops_news_while_a_mail_waits_does_not_get_it(
        self, link: str, staff: User, ticket_type: TicketType
    ) -> None:
        send(staff, to_all(ticket_type.event, kind=Kind.NEWS), key="b" * 32)
        Client().post(link)
        services.mailings_go_on()
        assert [each.to for each in mail.outbox] == [["bob@example.org"]]
        assert Mailing.objects.filter(finished_at=None).count() == 0

    def test_staff_who_want_no_news_get_their_own_trial(
        self, link: str, staff: User, ticket_type: TicketType
    ) -> None:
        Unsubscription.objects.create(pk=selectors.address_hash(staff.email), at=timezone.now())
        to = to_all(ticket_type.event, kind=Kind.NEWS)
        services.trial_send(to=to, staff=staff, subject="Doors", text="x", key="c" * 32)
        services.mailings_go_on()
        assert [each.to for each in mail.outbox] == [[staff.email]]

    def test_a_forged_link_opens_nothing(self, link: str) -> None:
        forged = link.replace(link.split("/")[2][:8], "0" * 8)
        assert Client().post(forged).status_code == 404

    def test_the_address_itself_is_not_kept(self, link: str) -> None:
        Client().post(link)
        [kept] = Unsubscription.objects.values_list("pk", flat=True)
        assert kept == selectors.address_hash("ADA@Example.org")
        assert "ada" not in link
