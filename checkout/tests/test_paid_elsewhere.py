"""Refunds that the gateway refuses for ever, because staff made them there by hand or the buyer won a dispute."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import gateways, rules, selectors, services
from checkout.gateways.sandbox import SandboxGateway
from checkout.models import Incident, OrderRecord, Payment, Refund
from checkout.order_rules import OrderAction
from checkout.permissions import Permission
from checkout.tests.fake_stripe import FakeStripe, running
from checkout.tests.paying import audit, heal, pay, stock, work
from overlord.accounts.models import User
from overlord.journal.actions import Action
from overlord.journal.models import JournalEntry
from overlord.kernel import db
from overlord.kernel.errors import Invalid
from tests.clients import permit
from tests.threads import together
from tickets.admission.models import Ticket
from tickets.models import Reservation
from tickets.tests.forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "re_3, in the dashboard"
REFUND = SandboxGateway.refund


@pytest.fixture
def staff(user_make: Callable[..., User]) -> User:
    rights = (Permission.REFUND, Permission.MANAGE_ORDERS, Permission.CANCEL_EVENT)
    return permit(user_make(username="mona"), *rights, "journal.view_journal")


@pytest.fixture
def office(staff: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(staff)
    return client


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    """Two tickets, paid with 30.00 EUR."""
    pay(api, payment)
    return work(payment)


@pytest.fixture
def refused(paid: Payment, staff: User, monkeypatch: pytest.MonkeyPatch) -> Refund:
    """Return a refund of all, with the tickets, that the gateway refuses whenever it is asked."""

    def already(*_args: Any, **_options: Any) -> rules.Refunded:
        return rules.Refunded(outcome=rules.RefundOutcome.FAILED, error="charge_already_refunded")

    monkeypatch.setattr(SandboxGateway, "refund", already)
    services.refund_request(staff_id=staff.pk, payment_id=paid.pk, amount_minor=None, return_tickets=True)
    heal()
    paid.refresh_from_db()
    return Refund.objects.get()


def settle(refund: Refund, staff: User, *, note: str = NOTE, version: int | None = None) -> None:
    services.refund_settle_elsewhere(
        staff_id=staff.pk,
        refund_id=refund.pk,
        version=version or Payment.objects.get(pk=refund.payment_id).version,
        note=note,
    )


def refunded_by_hand(payment: Payment, minor: int) -> None:
    """Let staff refund a part at the gateway, as on its own pages."""
    row = [payment.gateway_reference, minor, 0, "by hand"]
    db.statement(
        "INSERT INTO sandbox.refunds (intent, amount, refund, key) VALUES (%s, %s, %s, %s) RETURNING id", row
    )


def test_without_a_record_it_never_ends(refused: Refund, paid: Payment, staff: User) -> None:
    """The control of the tests below."""
    for _ in range(3):
        services.refund_retry(staff_id=staff.pk, refund_id=refused.pk)
        heal()
    paid.refresh_from_db()
    assert (paid.status, stock(paid)) == ("SUCCESS", (0, 2, 3000))
    with pytest.raises(rules.RefundFirst):
        services.reservation_return(staff_id=staff.pk, reservation_id=paid.reservation_id)


@pytest.mark.parametrize("is_dispute", [False, True])
def test_figures_tickets_and_seats_follow_the_record(
    is_dispute: bool, refused: Refund, paid: Payment, staff: User, api: APIClient
) -> None:
    if not is_dispute:
        refunded_by_hand(paid, 3000)
    services.mails_send()
    mail.outbox.clear()

    settle(refused, staff)

    paid.refresh_from_db()
    refused.refresh_from_db()
    assert (paid.status, paid.refunded_minor) == ("REFUNDED", 3000)
    assert (refused.status, refused.elsewhere, refused.gateway_reference) == ("SUCCESS", True, "")
    assert stock(paid) == (0, 0, 0)
    assert Reservation.objects.get().state == "released"
    assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}
    shown = api.get(f"/payment/payments/{paid.pk}/").json()
    assert (shown["payment_status"], shown["refunded"]) == ("REFUNDED", "30.00")
    services.mails_send()
    assert ["refund" in message.subject for message in mail.outbox] == [True]
    audit()


def test_a_record_that_the_ledger_contradicts_is_noticed(refused: Refund, paid: Payment, staff: User) -> None:
    """The control of the audit: more went back at the gateway than we know of."""
    settle(refused, staff)
    for _ in range(2):
        refunded_by_hand(paid, 3000)
    with pytest.raises(AssertionError):
        audit()


def test_a_refund_that_is_not_recorded_is_noticed(paid: Payment) -> None:
    refunded_by_hand(paid, 3000)
    with pytest.raises(AssertionError):
        audit()


def test_a_part_made_by_hand_and_the_rest_here(paid: Payment, staff: User) -> None:
    """As docs/office.md says: first refund here what is left at the gateway, then record the part."""
    refunded_by_hand(paid, 1000)

    def ask(minor: int | None) -> Refund:
        services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=minor, return_tickets=False
        )
        heal()
        return Refund.objects.latest("pk")

    assert ask(2000).status == "SUCCESS"
    last = ask(None)
    assert (last.amount_minor, last.status) == (1000, "FAILURE"), "nothing is left at the gateway"
    settle(last, staff)
    paid.refresh_from_db()
    assert (paid.status, paid.refunded_minor, stock(paid)) == ("REFUNDED", 3000, (0, 2, 0))
    audit()


class TestIncident:
    """The gateway's refusal is an incident until its money has gone back."""

    def test_the_record_closes_the_incident(self, refused: Refund, paid: Payment, staff: User) -> None:
        incident = Incident.objects.get(closed_at=None)
        assert incident.cause == Incident.Cause.REFUND_FAILED

        settle(refused, staff)

        incident.refresh_from_db()
        assert incident.closed_at is not None
        entry = JournalEntry.objects.get(action=Action.INCIDENT_CLOSED)
        assert (entry.actor_id, entry.order_number) == (staff.pk, paid.reservation_id)

    def test_another_try_that_succeeds_closes_the_incident(
        self, refused: Refund, staff: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SandboxGateway, "refund", REFUND)
        services.refund_retry(staff_id=staff.pk, refund_id=refused.pk)
        assert Incident.objects.filter(closed_at=None).exists()

        heal()
        assert Refund.objects.get().status == "SUCCESS"
        assert not Incident.objects.filter(closed_at=None).exists()

    @pytest.mark.parametrize(("amount_minor", "is_open"), [(1000, True), (None, False)])
    def test_another_refund_closes_the_incident_only_if_it_pays_back_all_that_is_left(
        self,
        refused: Refund,
        paid: Payment,
        staff: User,
        monkeypatch: pytest.MonkeyPatch,
        amount_minor: int | None,
        is_open: bool,
    ) -> None:
        monkeypatch.setattr(SandboxGateway, "refund", REFUND)
        services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=amount_minor, return_tickets=False
        )
        heal()

        assert Refund.objects.latest("pk").status == "SUCCESS"
        assert Incident.objects.filter(closed_at=None).exists() == is_open

    def test_it_stays_open_while_another_refund_of_the_payment_is_refused(
        self, refused: Refund, paid: Payment, staff: User
    ) -> None:
        services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=1000, return_tickets=False
        )
        heal()
        other = Refund.objects.latest("pk")
        assert other.status == "FAILURE"
        Refund.objects.filter(pk=refused.pk).update(amount_minor=2000, return_tickets=False)

        settle(refused, staff)
        assert Incident.objects.filter(closed_at=None).exists()

        settle(other, staff)
        assert not Incident.objects.filter(closed_at=None).exists()
        audit()


class TestGuards:
    @pytest.mark.parametrize("note", ["", "  \n"])
    def test_it_needs_a_note(self, refused: Refund, staff: User, note: str) -> None:
        with pytest.raises(Invalid):
            settle(refused, staff, note=note)
        refused.refresh_from_db()
        assert refused.status == "FAILURE"

    def test_it_is_recorded_once(self, refused: Refund, paid: Payment, staff: User) -> None:
        results = together(*[lambda: settle(refused, staff, version=paid.version)] * 4)
        assert sum(result is None for result in results) == 1
        assert OrderRecord.objects.filter(what=OrderAction.ELSEWHERE).count() == 1
        assert stock(paid) == (0, 0, 0)
        audit()

    def test_not_from_an_outdated_page(self, refused: Refund, paid: Payment, staff: User) -> None:
        with pytest.raises(rules.RefundOutdated):
            settle(refused, staff, version=paid.version - 1)

    def test_not_while_it_is_tried_again(self, refused: Refund, staff: User) -> None:
        services.refund_retry(staff_id=staff.pk, refund_id=refused.pk)
        with pytest.raises(rules.RefundInProgress):
            settle(refused, staff)

    def test_not_when_the_money_went_back_since(
        self, refused: Refund, paid: Payment, staff: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SandboxGateway, "refund", REFUND)
        services.refund_request(
            staff_id=staff.pk, payment_id=paid.pk, amount_minor=None, return_tickets=False
        )
        heal()
        with pytest.raises(rules.NotRefundable):
            settle(refused, staff)
        audit()


def test_late_news_of_a_refund_that_was_recorded_meanwhile_changes_nothing(
    paid: Payment, staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway says that a refund has failed while staff record that its money went back elsewhere."""
    services.refund_request(staff_id=staff.pk, payment_id=paid.pk, amount_minor=None, return_tickets=True)
    heal()
    refund = Refund.objects.get()
    assert refund.gateway_reference

    def failed(*_args: Any, **_options: Any) -> rules.Refunded:
        Refund.objects.filter(pk=refund.pk).update(gateway_reference="", elsewhere=True)
        return rules.Refunded(outcome=rules.RefundOutcome.FAILED, error="the bank did not take it")

    monkeypatch.setattr(SandboxGateway, "refund_retrieve", failed)
    services.refund_look_again(refund_id=refund.pk)

    refund.refresh_from_db()
    assert refund.status == "SUCCESS"
    assert not Incident.objects.exists()


class TestStripe:
    @pytest.fixture
    def stripe(self, settings: Any, paid: Payment) -> Any:
        with running(FakeStripe(charged=3000)) as fake:
            settings.STRIPE_SECRET_KEY = "sk_test_12345"
            settings.STRIPE_API_BASE = fake.url
            gateways.named.cache_clear()
            Payment.objects.filter(pk=paid.pk).update(gateway="stripe", gateway_reference="pi_1")
            yield fake
            gateways.named.cache_clear()

    def test_one_that_failed_late_is_recorded_and_its_old_news_changes_nothing(
        self, stripe: FakeStripe, paid: Payment, staff: User
    ) -> None:
        services.refund_request(staff_id=staff.pk, payment_id=paid.pk, amount_minor=None, return_tickets=True)
        heal()
        stripe.conclude("failed")
        services.refund_look_again(refund_id=Refund.objects.get().pk)
        refund = Refund.objects.get()
        assert (refund.status, refund.gateway_reference) == ("FAILURE", "re_1")

        settle(refund, staff)
        services.refunds_compare(gateway="stripe", since=timezone.now() - timedelta(days=1))
        services.refund_look_again(refund_id=refund.pk)

        refund.refresh_from_db()
        paid.refresh_from_db()
        assert (refund.status, paid.status, stripe.posted) == ("SUCCESS", "REFUNDED", 1)
        assert selectors.refund_refused(payment=paid) is None

    def test_one_that_was_made_in_the_dashboard(self, stripe: FakeStripe, paid: Payment, staff: User) -> None:
        stripe.add({"payment_intent": "pi_1", "amount": "3000"}, status="succeeded")
        services.refund_request(staff_id=staff.pk, payment_id=paid.pk, amount_minor=None, return_tickets=True)
        heal()
        refund = Refund.objects.get()
        assert (refund.status, refund.error) == ("FAILURE", "too much")
        settle(refund, staff)
        paid.refresh_from_db()
        assert (paid.status, len(stripe.refunds), stock(paid)) == ("REFUNDED", 1, (0, 0, 0))


def test_a_cancellation_ends(paid: Payment, staff: User, refused: Refund) -> None:
    event = paid.reservation.ticket_type.event
    services.event_cancel(staff_id=staff.pk, event_id=event.pk, version=event.version, message="")
    for _ in range(3):
        services.cancellations_go_on()
        heal()
    before = selectors.cancelled_progress(event_id=event.pk)
    assert (before["refused"], before["back"]) == (1, 0)
    latest = selectors.refund_refused(payment=paid)
    assert latest is not None

    settle(latest, staff)

    after = selectors.cancelled_progress(event_id=event.pk)
    assert (after["refused"], after["back"], after["back_minor"]) == (0, 1, 3000)
    assert selectors.cancelled_problems(event_id=event.pk, most=5) == []
    assert services.cancellation_retry(staff_id=staff.pk, event_id=event.pk) == 0
    assert stock(paid) == (0, 0, 0)
    audit()


class TestThePage:
    @pytest.fixture
    def place(self, paid: Payment) -> str:
        return f"/office/orders/{paid.reservation_id}/elsewhere/"

    def test_it_records_and_the_history_and_the_journal_say_so(
        self, office: Client, place: str, paid: Payment, refused: Refund
    ) -> None:
        order = place.removesuffix("elsewhere/")
        assert f'href="{place}"' in office.get(order).content.decode()
        asked = office.get(place)
        assert "charge_already_refunded" in asked.content.decode()
        answer = office.post(place, {**fields_of(asked), "text": NOTE})

        assert (answer.status_code, answer.headers["Location"]) == (302, order)
        page = office.get(order).content.decode()
        assert f"mona recorded a refund that was made outside this shop: {NOTE}" in page
        assert "requested by mona: refunded outside this shop" in page
        assert place not in page
        journal = office.get(f"/office/journal/?order={paid.reservation_id}").content.decode()
        assert "Recorded a refund that was made outside this shop" in journal
        audit()

    def test_it_keeps_what_was_written_when_it_is_refused(
        self, office: Client, place: str, refused: Refund
    ) -> None:
        asked = fields_of(office.get(place))
        assert office.post(place, {**asked, "text": ""}).status_code == 400
        outdated = office.post(place, {**asked, "version": "1", "text": NOTE})
        assert outdated.status_code == 409
        assert NOTE in outdated.content.decode()
        refused.refresh_from_db()
        assert refused.status == "FAILURE"

    def test_without_a_refused_refund_there_is_nothing_to_record(
        self, office: Client, place: str, paid: Payment
    ) -> None:
        assert place not in office.get(place.removesuffix("elsewhere/")).content.decode()
        page = office.post(place, {"text": NOTE, "version": paid.version}, follow=True).content.decode()
        assert "This order has no failed refund, so there is nothing to record." in page
        assert not Refund.objects.exists()

    def test_it_needs_the_permission_to_refund(
        self, place: str, refused: Refund, user_make: Callable[..., User]
    ) -> None:
        client = Client(headers={"accept": "text/html"})
        client.force_login(permit(user_make(), Permission.MANAGE_ORDERS, Permission.RETRY_REFUND))
        assert client.post(place, {"text": NOTE, "version": "1"}).status_code == 403
        refused.refresh_from_db()
        assert refused.status == "FAILURE"
