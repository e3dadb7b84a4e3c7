"""Each constraint of a model refuses what breaks it: the negative controls of the database's last word.

A constraint that nothing breaks would not be missed. `BREAKS` has for each one a change that it alone refuses.
"""

from collections.abc import Callable
from hashlib import sha256
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from checkout.models import Incident, OrderRecord, Payment, Refund, UnmatchedCharge, WebhookEvent
from overlord.accounts.models import BackupCode, StaffInvitation, User
from overlord.kernel import db
from overlord.mailings.models import Mailing, Recipient
from overlord.shop.models import Look
from tickets.admission.models import HandOverNotice, HolderNotice, OrderLink, Scan, Ticket
from tickets.line.models import DrawnPart, Entry, Line, StaffAction
from tickets.models import MoveNotice, Reservation, TicketType
from tickets.tests.vouchers import voucher_make

OURS = ("checkout.", "overlord.", "realtime.", "stats.", "tickets.")
ONE = "(SELECT min(id) FROM accounts_user)"
PENDING = "status = 'PENDING', next_look_at = now(), deadline = now()"

# What an UPDATE of all rows of the table sets.
BREAKS = {
    "user_unique_username": f"username = CASE id WHEN {ONE} THEN 'same' ELSE 'SAME' END",
    "user_unique_email": f"email = CASE id WHEN {ONE} THEN 'a@b.example' ELSE 'A@b.example' END",
    "user_unique_verified_email": "is_guest = true, is_staff = false, verified_email = 'a@b.example'",
    "user_guest_is_not_staff": "is_guest = true, is_staff = true",
    "staff_invitation_one_open": "email = 'a@b.example'",
    "staff_invitation_ends_once": "accepted_at = now()",
    "backup_code_unique": "code_hash = 'same'",
    "look_is_one": "id = 2",
    "look_logo_named": "logo = '../secrets'",
    "look_colours_known": "accent = 'red'",
    "look_names_on_lines": r"name = E'a\nb'",
    "mailing_kind_known": "kind = 'x'",
    "mailing_audience_known": "audience = 'x'",
    "mailing_subject_on_one_line": r"subject = E'a\nBcc: b'",
    "recipient_once_in_a_mailing": "address = 'a@b.example'",
    "recipient_ends_once": "next_look_at = now(), sent_at = now()",
    "move_notice_waits_once": f"buyer_id = {ONE}",
    "voucher_unique_in_event": "text = 'SAME'",
    "voucher_text_is_a_word": "text = 'two words'",
    "voucher_price_known": "price_value = 101",
    "voucher_gives_something": "price_rule = 'unchanged', price_value = 0",
    "voucher_most_uses_positive": "most_uses = 0",
    "voucher_used_not_negative": "used = -1",
    "voucher_used_within_limit": "most_uses = 1, used = 2",
    "voucher_times_bounded": "valid_from = '1899-01-01Z'",
    "event_buyers_known": "buyers = 'x'",
    "event_status_known": "status = 'x'",
    "event_ends_after_it_begins": "ends_at = date",
    "event_place_on_lines": r"venue = E'a\nb'",
    "event_picture_named": "picture = '../secrets'",
    "event_name_on_one_line": "name = ''",
    "event_date_bounded": "date = '2200-01-01Z'",
    "ticket_type_unique_in_event": "name = 'same'",
    "ticket_type_name_on_one_line": "name = ''",
    "ticket_type_price_bounded": "price_minor = -1",
    "ticket_type_max_per_user_positive": "max_per_user = 0",
    "inventory_held_not_negative": "held = -1",
    "inventory_sold_not_negative": "sold = -1",
    "inventory_never_oversold": "held = 1, sold = capacity",
    "inventory_opens_before_it_closes": "opens_at = closes_at",
    "inventory_times_bounded": "opens_at = '1899-01-01Z'",
    "reservation_quantity_positive": "quantity = 0",
    "reservation_total_bounded": "quantity = 1000, unit_price_minor = 1000000000001",
    "reservation_lead_came_first": "lead_id = id",
    "reservation_unique_idempotency_key": "idempotency_key = 'same'",
    "reservation_one_live_per_buyer_and_type": "ticket_type_id = (SELECT min(id) FROM tickets_tickettype)",
    "reservation_state_agrees_with_its_times": "ended_at = now()",
    "ticket_one_per_seat": "seat = 1",
    "ticket_seat_positive": "seat = 0",
    "ticket_issue_positive": "issue = 0",
    "ticket_state_agrees_with_its_times": "state = 'admitted'",
    "scan_one_admission_per_ticket": "result = 'admitted'",
    "scan_result_known": "result = 'x'",
    "scan_of_a_ticket": "ticket_id = NULL",
    "scan_undone_was_admitted": "undone_at = now()",
    "order_link_number_rises": "number = 1",
    "hand_over_notice_once": "issue = 1",
    "holder_notice_waits_once": "issue = 1",
    "holder_notice_says_from_when": "kind = 'moved'",
    "line_commitment_is_of_the_seed": "seed = 'another'",
    "line_phase_agrees_with_the_draw": "drawn_at = NULL",
    "line_served_were_entered": "served = entered + 1",
    "line_moves_if_it_is_slow": "most_per_minute = 0",
    "line_value_was_named_and_is_of_after_the_list": "public_value = '7'",
    "staff_action_is_known": "action = 'x'",
    "entry_one_per_number": "number = 1",
    "entry_waits_once": f"buyer_id = {ONE}",
    "entry_given_has_an_order": "state = 'given'",
    "drawn_part_one_per_place": "last_place = 1",
    "payment_amount_not_negative": "amount_minor = -1",
    "payment_refunded_at_most_its_amount": "refunded_minor = amount_minor + 1",
    "payment_one_in_flight_per_reservation": PENDING,
    "payment_one_captured_per_reservation": "status = 'SUCCESS'",
    "payment_token_erased_at_the_outcome": "gateway_token = 'secret'",
    "payment_in_flight_is_looked_after": "status = 'PENDING'",
    "refund_amount_positive": "amount_minor = 0",
    "refund_one_in_flight_per_payment": "status = 'PENDING'",
    "refund_unique_idempotency_key": "idempotency_key = 'same'",
    "webhook_event_once": "event_id = 'same'",
    "order_record_deed_known": "what = 'x'",
    "unmatched_charge_amount_positive": "amount_minor = 0",
    "unmatched_charge_once": "gateway_reference = 'same'",
    "incident_open_once_per_cause": "cause = 'stuck'",
}
# A trigger lets no row of the journal change.
INSERTED = {
    "journal_action_named": "INSERT INTO journal_journalentry (at, action, facts, request_id)"
    " VALUES (now(), 'Two words', '{}', '')",
}


def tables() -> dict[str, str]:
    """Return the table of each constraint of our models."""
    return {
        constraint.name: model._meta.db_table
        for model in apps.get_models()
        if model.__module__.startswith(OURS)
        for constraint in model._meta.constraints
    }


@pytest.fixture
def rows(user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]) -> None:
    """Make rows of each table: two that differ where a constraint wants them to, one of the others."""
    people = [user_make(), user_make()]
    first = ticket_type_make(paused=True)
    types = [first, ticket_type_make(event=first.event, paused=True)]
    reservation = of_tickets(people, types)
    of_checkout(reservation, people[0])
    of_admission(reservation, people[0])
    of_line(people, first)
    of_mailings(people[0], first)
    of_accounts(people[0])
    Look.objects.create()


def of_tickets(people: list[User], types: list[TicketType]) -> Reservation:
    """Return one of the reservations."""
    now, event = timezone.now(), types[0].event
    times = {"created": now, "expires_at": now}
    for text in ("ONE", "TWO"):
        voucher_make(event, text)
    for each in people:
        MoveNotice.objects.create(event=event, buyer=each, date_before=now, next_look_at=now)
    made = [
        Reservation.objects.create(
            buyer=people[0], ticket_type=each, quantity=1, unit_price_minor=1500, currency="EUR", **times
        )
        for each in types
    ]
    return made[0]


def of_checkout(reservation: Reservation, staff: User) -> None:
    now = timezone.now()
    payment, _ = [
        Payment.objects.create(
            buyer=staff,
            reservation=reservation,
            status="FAILURE",
            amount_minor=1500,
            currency="EUR",
            gateway="sandbox",
            created=now,
        )
        for _ in range(2)
    ]
    for nth, cause in enumerate(("late_money", "refund_failed")):
        Refund.objects.create(payment=payment, amount_minor=1, status="FAILURE", created=now)
        Incident.objects.create(payment=payment, cause=cause, created=now)
        WebhookEvent.objects.create(gateway="sandbox", event_id=str(nth), received=now)
        UnmatchedCharge.objects.create(
            gateway="sandbox",
            gateway_reference=str(nth),
            payment_number=1,
            amount_minor=1,
            currency="EUR",
            charged_at=now,
            found_at=now,
        )
    OrderRecord.objects.create(order=reservation, actor=staff, what="note", at=now)


def of_admission(reservation: Reservation, staff: User) -> None:
    now, event = timezone.now(), reservation.ticket_type.event
    ticket, _ = [
        Ticket.objects.create(reservation=reservation, event=event, seat=seat, serial=f"S{seat}", changed=1)
        for seat in (1, 2)
    ]
    for result in ("admitted", "revoked"):
        Scan.objects.create(
            scan_id=uuid4(), event=event, ticket=ticket, actor=staff, result=result, at=now, recorded_at=now
        )
    OrderLink.objects.create(reservation=reservation, number=2)
    for issue in (1, 2):
        notice = {"ticket": ticket, "issue": issue, "created": now, "next_look_at": now}
        HandOverNotice.objects.create(kind="received", to="c@b.example", **notice)
        HolderNotice.objects.create(kind="cancelled", **notice)


def of_line(people: list[User], ticket_type: TicketType) -> None:
    now = timezone.now()
    line = Line.objects.create(
        event=ticket_type.event,
        phase="serving",
        seed="seed",
        commitment=sha256(b"seed").hexdigest(),
        digest="0" * 64,
        drawn=2,
        drawn_at=now,
        entered=2,
    )
    for number, buyer in enumerate(people, 1):
        Entry.objects.create(line=line, buyer=buyer, number=number, choices=[], entered_at=now)
        DrawnPart.objects.create(line=line, last_place=number, entries=[])
    StaffAction.objects.create(event=ticket_type.event, actor=people[0], at=now, action="hold")


def of_mailings(author: User, ticket_type: TicketType) -> None:
    mailing = Mailing.objects.create(
        event=ticket_type.event,
        author=author,
        kind="event",
        audience="tickets",
        with_holders=False,
        is_trial=False,
        subject="News",
        key="k",
        created=timezone.now(),
    )
    for email in ("c@b.example", "d@b.example"):
        Recipient.objects.create(mailing=mailing, address=email)


def of_accounts(user: User) -> None:
    now, role = timezone.now(), Group.objects.create(name="role")
    for text in ("c", "d"):
        BackupCode.objects.create(user=user, code_hash=text)
        StaffInvitation.objects.create(
            email=f"{text}@b.example", role=role, invited_by=user, created_at=now, expires_at=now
        )


def refusal(statement: str) -> str | None:
    """Return the constraint that refuses a statement; None when it is carried out."""
    try:
        with transaction.atomic():
            db.rows(statement)
    except IntegrityError as error:
        return db.violated(error)
    return None


@pytest.mark.django_db
def test_each_constraint_refuses_what_breaks_it(rows: None) -> None:
    changes = {
        name: INSERTED.get(name) or f"UPDATE {table} SET {BREAKS[name]}"  # noqa: S608
        for name, table in tables().items()
    }

    assert {name: refusal(change) for name, change in changes.items()} == {name: name for name in changes}


def test_each_constraint_has_a_change_that_breaks_it() -> None:
    assert {*BREAKS, *INSERTED} == {*tables()}
