"""Old rows that nobody needs are deleted, and no others."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from celery import current_app
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.test import APIClient

from checkout import services
from checkout.gateways import ledger
from checkout.models import Payment, PaymentStep, WebhookEvent
from checkout.tests.paying import PAYMENTS, charges, pay, work
from overlord.accounts import operations as accounts
from overlord.accounts.models import ApiToken, EmailCode, User
from overlord.kernel import db, pruning
from overlord.mailings import operations as mailing_operations
from overlord.mailings.models import Mailing, Recipient
from overlord.mailings.rules import Audience, Kind
from stats.models import Minute
from tests.clients import api_of
from tests.system import eventually
from tests.threads import together
from tickets.line.models import Entry, Line
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import reserve, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(days=1000)


def age_reservations() -> None:
    past = timezone.now() - LONG_AGO
    Reservation.objects.update(created=past, expires_at=past + timedelta(minutes=15))
    Reservation.objects.exclude(ended_at=None).update(ended_at=past + timedelta(minutes=15))


@pytest.fixture
def payment(api: APIClient, ticket_type: TicketType) -> Payment:
    """Make a payment, not started, of two tickets that are held."""
    held = reserve(api, ticket_type, 2).json()
    made = api.post(PAYMENTS, {"reservation_id": held["id"]}, format="json").json()
    return Payment.objects.get(pk=made["id"])


@pytest.fixture
def released(api: APIClient, ticket_type: TicketType) -> int:
    """Make a hold that its buyer released."""
    held: int = reserve(api, ticket_type, 2).json()["id"]
    api.delete(f"/event/reservations/{held}/")
    assert Reservation.objects.get(pk=held).state == "released"
    return held


def test_an_old_unpaid_hold_is_deleted_and_the_figures_stay(released: int) -> None:
    before = list(Inventory.objects.values())
    call_command("prune")
    assert Reservation.objects.filter(pk=released).exists(), "it is not old yet"
    age_reservations()

    call_command("prune")

    assert not Reservation.objects.filter(pk=released).exists()
    assert list(Inventory.objects.values()) == before


def test_paid_and_held_reservations_stay(
    api: APIClient, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType], payment: Payment
) -> None:
    pay(api, payment, "card_error")
    assert work(payment).status == "FAILURE"
    api.delete(f"/event/reservations/{payment.reservation_id}/")
    live = reserve(api, ticket_type_make(), 1).json()["id"]
    age_reservations()

    call_command("prune")

    assert set(Reservation.objects.values_list("pk", flat=True)) == {payment.reservation_id, live}


@pytest.mark.parametrize("is_paid", [True, False])
def test_an_order_is_deleted_whole_or_keeps_its_first_reservation(
    is_paid: bool, api: APIClient, ticket_type_make: Callable[..., TicketType]
) -> None:
    first = ticket_type_make(price_minor=0)
    types = [first, *(ticket_type_make(event=first.event, price_minor=0) for _ in range(2))]
    items = [{"ticket_type": each.pk, "amount": 1} for each in types]
    lines = api.post("/event/reservations/batch/", {"items": items}, format="json").json()["reservations"]
    for line in lines[:2]:
        api.delete(f"/event/reservations/{line['id']}/")
    if is_paid:
        Reservation.objects.filter(pk=lines[2]["id"]).update(state="validated", validated_at=timezone.now())
    else:
        api.delete(f"/event/reservations/{lines[2]['id']}/")
    age_reservations()

    call_command("prune")

    kept = [lines[0]["id"], lines[2]["id"]] if is_paid else []
    assert list(Reservation.objects.order_by("pk").values_list("pk", flat=True)) == kept


def test_control_without_the_check_of_references_a_paid_hold_stops_the_pruning(
    api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickets.pruning.unreferenced", lambda rows: rows)
    pay(api, payment, "card_error")
    work(payment)
    api.delete(f"/event/reservations/{payment.reservation_id}/")
    age_reservations()
    with pytest.raises(Exception, match="protected"):
        call_command("prune")


def test_more_rows_than_one_batch_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    past = timezone.now() - LONG_AGO
    for number in range(5):
        WebhookEvent.objects.create(gateway="stripe", event_id=f"evt_{number}", received=past)
    fresh = WebhookEvent.objects.create(gateway="stripe", event_id="evt_new", received=timezone.now())
    call_command("prune")
    assert list(WebhookEvent.objects.all()) == [fresh]


def test_ended_sessions_and_tokens_are_deleted(buyer: User) -> None:
    now = timezone.now()
    for name, end in (("ended", now - timedelta(minutes=1)), ("open", now + timedelta(minutes=1))):
        Session.objects.create(session_key=name, session_data="", expire_date=end)
        ApiToken.objects.create(key_hash=name, user=buyer, login_epoch=0, created_at=now, expires_at=end)
    call_command("prune")
    assert set(Session.objects.values_list("pk", flat=True)) == {"open"}
    assert set(ApiToken.objects.values_list("pk", flat=True)) == {"open"}


def test_the_lines_of_past_events_that_sell_no_more_are_deleted(
    buyer: User, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
) -> None:
    now, seed = timezone.now(), "0" * 64
    past, selling, coming = (ticket_type_make(closes_at=now + timedelta(days=n)).event for n in (-99, 1, 1))
    for event in (past, selling, coming):
        line = Line.objects.create(event=event, seed=seed, commitment=sha256(seed.encode()).hexdigest())
        for number, user in enumerate((buyer, user_make()), start=1):
            Entry.objects.create(line=line, buyer=user, number=number, choices=[], entered_at=now)
    Event.objects.exclude(pk=coming.pk).update(date=now - LONG_AGO)

    call_command("prune")

    kept = {selling.pk, coming.pk}
    assert set(Line.objects.values_list("pk", flat=True)) == kept, (
        "people still wait in a line that still sells"
    )
    assert set(Entry.objects.values_list("line", flat=True)) == kept


def test_old_minutes_of_the_monitor_are_deleted() -> None:
    now = timezone.now().replace(second=0, microsecond=0)
    Minute.objects.create(minute=now, reserved=1)
    Minute.objects.create(minute=now - LONG_AGO, reserved=1)

    call_command("prune")

    assert list(Minute.objects.values_list("minute", flat=True)) == [now]


def test_old_guests_without_reservations_are_deleted(ticket_type: TicketType, buyer: User) -> None:
    def guest() -> tuple[User, APIClient]:
        told = APIClient().post("/register/guest/").json()
        return User.objects.get(pk=told["id"]), APIClient(headers={"Authorization": f"Token {told['token']}"})

    gone, known, holding = guest(), guest(), guest()
    reserve(holding[1], ticket_type, 1)
    User.objects.update(date_joined=timezone.now() - LONG_AGO)
    ApiToken.objects.exclude(user=known[0]).update(expires_at=timezone.now() - LONG_AGO)
    fresh = guest()

    call_command("prune")

    assert set(User.objects.all()) == {known[0], holding[0], fresh[0], buyer}
    assert not User.objects.filter(pk=gone[0].pk).exists()


def test_an_old_guest_is_deleted_with_the_code_that_was_never_used() -> None:
    told = APIClient().post("/register/guest/").json()
    browser = APIClient(headers={"Authorization": f"Token {told['token']}"})
    browser.post("/register/guest/email/", {"email": "ada@example.org"}, format="json")
    ApiToken.objects.update(expires_at=timezone.now() - LONG_AGO)
    User.objects.update(date_joined=timezone.now() - LONG_AGO)
    call_command("prune")
    assert EmailCode.objects.exists(), "it is not old yet"
    EmailCode.objects.update(expires_at=timezone.now() - LONG_AGO)

    call_command("prune")

    assert not User.objects.exists()


class TestGuestsWhoBoughtNothing:
    """Their tries to pay are kept, and nothing in these leads to them."""

    @pytest.fixture
    def tried(self, user_make: Callable[..., User], ticket_type: TicketType) -> Payment:
        """Make a payment of a guest, which is declined, and release the tickets."""
        guest = user_make(is_guest=True, email="")
        api = api_of(guest)
        held = reserve(api, ticket_type, 2).json()
        contact = {"email": "ada@zebra.example", "name": "Ada Zebra"}
        made = api.post(PAYMENTS, {"reservation_id": held["id"], **contact}, format="json").json()
        payment = Payment.objects.get(pk=made["id"])
        pay(api, payment, "card_error")
        assert work(payment).status == "FAILURE"
        api.delete(f"/event/reservations/{held['id']}/")
        ApiToken.objects.all().delete()
        return payment

    def known(self, payment: Payment) -> set[str]:
        """Return all that is kept about the person of a payment."""
        guest = User.objects.get(pk=payment.buyer_id)
        held = Reservation.objects.get(pk=payment.reservation_id)
        return {guest.contact_email, guest.contact_name, guest.verified_email, held.person_key or ""} - {""}

    def test_their_names_and_addresses_are_erased_after_a_time(self, tried: Payment) -> None:
        age_reservations()
        call_command("prune")
        assert len(self.known(tried)) == 2, "the guest is not old yet"
        User.objects.update(date_joined=timezone.now() - LONG_AGO)

        call_command("prune")

        assert self.known(tried) == set()
        assert Payment.objects.get(pk=tried.pk).status == "FAILURE"

    @pytest.mark.parametrize("status", ["SUCCESS", "ABANDONED", "REFUNDED", "PROCESSING"])
    def test_those_of_a_guest_who_was_or_may_be_charged_stay(self, status: str, tried: Payment) -> None:
        later = timezone.now() + LONG_AGO
        Payment.objects.filter(pk=tried.pk).update(status=status, next_look_at=later, deadline=later)
        age_reservations()
        User.objects.update(date_joined=timezone.now() - LONG_AGO)

        call_command("prune")

        assert len(self.known(tried)) == 2

    @pytest.mark.parametrize("fields", [{"validated_at": timezone.now()}, {"ended_at": timezone.now()}])
    def test_those_of_a_guest_with_a_purchase_or_a_recent_hold_stay(
        self, fields: dict[str, Any], tried: Payment
    ) -> None:
        age_reservations()
        Reservation.objects.update(**fields)
        User.objects.update(date_joined=timezone.now() - LONG_AGO)

        call_command("prune")

        assert len(self.known(tried)) == 2

    def test_those_of_a_guest_with_a_place_in_a_line_stay(
        self, tried: Payment, ticket_type: TicketType
    ) -> None:
        seed, now = "0" * 64, timezone.now()
        commitment = sha256(seed.encode()).hexdigest()
        line = Line.objects.create(event=ticket_type.event, seed=seed, commitment=commitment)
        Entry.objects.create(line=line, buyer_id=tried.buyer_id, number=1, choices=[], entered_at=now)
        age_reservations()
        User.objects.update(date_joined=now - LONG_AGO)

        call_command("prune")

        assert len(self.known(tried)) == 2

    def test_a_guest_who_buys_at_this_moment_keeps_the_address(self, tried: Payment) -> None:
        age_reservations()
        User.objects.update(date_joined=timezone.now() - LONG_AGO)
        begun = threading.Event()

        def buy() -> None:
            with db.transaction():
                accounts.user_lock(user_id=tried.buyer_id)
                begun.set()
                waiting_for_a_lock(1)
                Reservation.objects.update(validated_at=timezone.now())

        def forget() -> int:
            begun.wait(10)
            return services.guests_forget(before=timezone.now() - LONG_AGO / 2)

        assert together(buy, forget) == [None, 0]
        assert len(self.known(tried)) == 2


def pruned_during(change: Callable[[], object]) -> None:
    """Prune while the transaction of `change` is open, which commits when the pruning is done or waits for it."""
    changed, pruned = threading.Event(), threading.Event()
    waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def prune() -> None:
        assert changed.wait(60)
        try:
            call_command("prune")
        finally:
            pruned.set()

    def is_pruned_or_waits() -> bool:
        db.rows("SELECT pg_stat_clear_snapshot()")
        return pruned.is_set() or bool(db.rows(waits))

    def commit_late() -> None:
        with db.transaction():
            change()
            changed.set()
            eventually(is_pruned_or_waits)

    assert together(commit_late, prune) == [None, None]


def test_a_guest_who_makes_an_account_meanwhile_stays() -> None:
    guest = User.objects.create(username="guest", is_guest=True, date_joined=timezone.now() - LONG_AGO)

    pruned_during(lambda: User.objects.filter(pk=guest.pk).update(is_guest=False, username="ada"))

    assert User.objects.filter(username="ada").exists()


@pytest.fixture
def failed(buyer: User, ticket_type: TicketType) -> Recipient:
    """Make an old message of which a mail failed."""
    past = timezone.now() - LONG_AGO
    told = {
        "kind": Kind.NEWS,
        "audience": Audience.EVERYONE,
        "with_holders": False,
        "is_trial": False,
        "subject": "Doors",
    }
    times = {"created": past, "finished_at": past}
    mailing = Mailing.objects.create(event=ticket_type.event, author=buyer, **told, **times)
    return Recipient.objects.create(mailing=mailing, address="ada@example.org", failed_at=past)


def test_failed_mails_that_are_sent_again_meanwhile_stay(failed: Recipient) -> None:
    pruned_during(lambda: mailing_operations.failed_retry(mailing_id=failed.mailing_id, now=timezone.now()))

    assert Recipient.objects.get(pk=failed.pk).failed_at is None


def test_a_mail_stays_whose_message_changes_after_the_mail_was_locked(
    failed: Recipient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another row says whether a mail is old, and the lock of the mail does not keep that row as it is."""
    original = pruning._locked_keys

    def then_its_message_goes_on(rows: QuerySet[Any]) -> list[Any]:
        keys = original(rows)
        if failed.pk in keys and rows.model is Recipient:
            assert together(lambda: Mailing.objects.update(finished_at=None)) == [1]
        return keys

    monkeypatch.setattr(pruning, "_locked_keys", then_its_message_goes_on)
    call_command("prune")

    assert Recipient.objects.filter(pk=failed.pk).exists()
    assert Mailing.objects.get().finished_at is None, "the mail was locked, and its message then went on"


def test_a_row_that_somebody_has_locked_stays_and_delays_no_other() -> None:
    past = timezone.now() - LONG_AGO
    for number in range(3):
        WebhookEvent.objects.create(gateway="stripe", event_id=f"evt_{number}", received=past)
    with db.transaction():
        locked = WebhookEvent.objects.select_for_update().order_by("pk")[0]
        assert together(lambda: call_command("prune")) == [None]
    assert list(WebhookEvent.objects.all()) == [locked]

    call_command("prune")

    assert not WebhookEvent.objects.exists()


def test_what_is_kept_of_payments_stays_for_its_time(api: APIClient, payment: Payment, settings: Any) -> None:
    settings.RETENTION, settings.STEPS_RETENTION = timedelta(days=10), timedelta(days=30)
    pay(api, payment)
    work(payment)
    PaymentStep.objects.update(at=timezone.now() - timedelta(days=20))
    with ledger.opened() as book:
        book.rows("UPDATE sandbox.requests SET created = now() - interval '9 days'")
        book.rows("UPDATE sandbox.events SET created = now() - interval '9 days'")

    def kept() -> list[int]:
        counts = (
            "SELECT (SELECT count(*) FROM sandbox.requests) AS r, (SELECT count(*) FROM sandbox.events) AS e"
        )
        [row] = db.rows(counts)
        return [PaymentStep.objects.count(), row["r"], row["e"]]

    before = kept()
    assert min(before) > 0

    call_command("prune")

    assert kept() == before


def test_the_ledger_keeps_charges_and_loses_requests(api: APIClient, payment: Payment) -> None:
    pay(api, payment)
    work(payment)
    with ledger.opened() as book:
        book.rows("UPDATE sandbox.requests SET created = created - interval '1000 days'")
    PaymentStep.objects.update(at=timezone.now() - LONG_AGO)

    call_command("prune")

    assert charges(payment) == ["succeeded"]
    assert db.rows("SELECT FROM sandbox.requests") == []
    assert not PaymentStep.objects.exists()
    assert Payment.objects.get(pk=payment.pk).status == "SUCCESS"


def test_pruning_runs_each_night() -> None:
    current_app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    prunes = {name for name in current_app.tasks if name.endswith(".rows_prune")}
    assert len(prunes) == 7
    assert prunes <= scheduled


@pytest.mark.processes
def test_the_command_finds_the_tasks_without_a_worker() -> None:
    script = (
        "import django; django.setup();"
        "from overlord.kernel.management.commands.prune import task_names; print(*task_names())"
    )
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "overlord.settings"}
    ran = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [
        "accounts.rows_prune", "checkout.rows_prune", "journal.rows_prune", "line.rows_prune",
        "mailings.rows_prune", "stats.rows_prune", "tickets.rows_prune",
    ]  # fmt: skip
