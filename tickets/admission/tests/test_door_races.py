"""One ticket at two gates at once: one admits it, and the other tells when and where it was admitted."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection

from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets.admission import operations, sql
from tickets.admission.models import Scan, Ticket
from tickets.admission.tests.admitting import paid, tickets_of
from tickets.admission.tests.doors import codes_of, is_admitted_once, scan
from tickets.models import TicketType
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

FUNCTION = (Path(sql.__file__).parent / "admission_scan_record.sql").read_text()
ANSWER = (Path(sql.__file__).parent / "admission_scan_answer.sql").read_text()


@pytest.fixture
def steward(user_make: Callable[..., User]) -> User:
    return user_make()


def race(codes: list[str], actor_id: int) -> list[tuple[Any, Any]]:
    """Show each code at two gates at the same moment; return both answers."""
    barrier = threading.Barrier(2, timeout=60)

    def at(gate: str) -> Callable[[], list[Any]]:
        def show() -> list[Any]:
            answers = []
            for code in codes:
                barrier.wait()
                answers.append(scan(code, actor_id=actor_id, gate=gate))
            return answers

        return show

    north, south = together(at("North"), at("South"))
    return list(zip(north, south, strict=True))


def test_two_gates_at_once_admit_each_ticket_once(
    pytestconfig: pytest.Config, user_make: Callable[..., User], steward: User, ticket_type_make: Any
) -> None:
    """Make some pairs of gates; `--gate-pairs 1000` makes a thousand."""
    pairs = pytestconfig.getoption("--gate-pairs")
    ticket_type = ticket_type_make(capacity=pairs, max_per_user=pairs)
    codes = codes_of(paid(user_make(), ticket_type, pairs))

    for answers in race(codes, steward.pk):
        green, red = sorted(answers, key=lambda answer: answer["result"])
        assert (green["result"], red["result"]) == ("admitted", "already_admitted")
        assert red["first"] == green["first"]
    assert all(is_admitted_once(ticket) for ticket in Ticket.objects.all())


def test_the_same_scan_by_two_requests_at_once_is_one(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    [code] = codes_of(paid(buyer, ticket_type))
    for shown in (code, "no code"):  # decided by the ticket's row, or by the scan's id alone
        scan_id = uuid4()
        answers = together(*[partial(scan, shown, actor_id=steward.pk, scan_id=scan_id)] * 4)

        assert answers == [answers[0]] * 4
        assert Scan.objects.filter(scan_id=scan_id).count() == 1


def scan_behind(change: Callable[[], Any], code: str, actor_id: int, *, serial: str = "") -> Any:
    """Scan behind a change that has not committed; return the answer, or the constraint that refused the scan."""
    made, waits = threading.Event(), threading.Event()

    def hold() -> None:
        with db.transaction():
            change()
            made.set()
            assert waits.wait(timeout=60)

    def late() -> Any:
        assert made.wait(timeout=60)
        return scan(code, actor_id=actor_id, serial=serial, gate="South")

    def watch() -> None:
        assert made.wait(timeout=60)
        try:
            waiting_for_a_lock(1)
        finally:
            waits.set()

    held, answer, watched = together(hold, late, watch)
    assert (held, watched) == (None, None)
    return db.violated(answer) if isinstance(answer, IntegrityError) else answer


def at_north(ticket: Ticket, actor_id: int) -> Callable[[], Any]:
    """Return a function that scans a ticket at the gate North, as a step of a transaction."""
    now = db.now()
    asked = {"scan_id": uuid4(), "ticket": ticket.pk, "issue": 1, "key": None, "serial": None, "event": None}
    asked |= {"gate": "North", "actor": actor_id, "at": now, "now": now, "unchecked": False}
    return lambda: db.rows(sql.SCAN_ANSWER, asked)


def revoking(ticket: Ticket) -> Callable[[], Any]:
    """Return a function that revokes a ticket, as a step of a transaction."""
    revoked = {"state": "revoked", "revoked_at": db.now(), "changed": sql.CHANGED_NOW}
    return lambda: Ticket.objects.filter(pk=ticket.pk).update(**revoked)


def test_a_scan_waits_for_the_revoking_of_its_ticket(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type)
    [code], [ticket] = codes_of(reservation), tickets_of(reservation)

    assert scan_behind(revoking(ticket), code, steward.pk)["result"] == "revoked"


def handing_over(ticket: Ticket) -> Callable[[], Any]:
    """Return a function that hands a ticket over, as a step of a transaction."""
    return lambda: operations.ticket_hand_over(ticket=ticket, handed_to="new@example.org", holder="New")


def test_a_serial_that_is_being_replaced_opens_nothing(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    [ticket] = tickets_of(paid(buyer, ticket_type))

    answer = scan_behind(handing_over(ticket), "", steward.pk, serial=ticket.serial)
    assert answer["result"] == "revoked"


def test_control_without_the_issue_of_its_serial_the_former_holder_would_be_admitted(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    [ticket] = tickets_of(paid(buyer, ticket_type))
    forgetful = ANSWER.replace("t.id, t.issue INTO shown, p_issue", "t.id INTO shown")
    assert forgetful != ANSWER
    with changed(forgetful, ANSWER):
        answer = scan_behind(handing_over(ticket), "", steward.pk, serial=ticket.serial)

    assert answer["result"] == "admitted"


def test_the_second_gate_waits_for_the_first(buyer: User, steward: User, ticket_type: TicketType) -> None:
    reservation = paid(buyer, ticket_type)
    [code], [ticket] = codes_of(reservation), tickets_of(reservation)
    red = scan_behind(at_north(ticket, steward.pk), code, steward.pk)

    assert (red["result"], red["first"]["gate"]) == ("already_admitted", "North")
    assert is_admitted_once(ticket)


@contextmanager
def changed(statement: str, *back: str) -> Iterator[None]:
    """Change the database for a while."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        try:
            yield
        finally:
            for each in back:
                cursor.execute(each)


UNLOCKED = FUNCTION.replace(" FOR NO KEY UPDATE", "")
NOT_UNIQUE = (
    "DROP INDEX scan_one_admission_per_ticket",
    "DELETE FROM admission_scan",
    "CREATE UNIQUE INDEX scan_one_admission_per_ticket ON admission_scan (ticket_id)"
    " WHERE result = 'admitted' AND undone_at IS NULL",
)


def test_control_without_the_lock_the_constraint_refuses_the_second(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type)
    [code], [ticket] = codes_of(reservation), tickets_of(reservation)
    with changed(UNLOCKED, FUNCTION):
        refused = scan_behind(at_north(ticket, steward.pk), code, steward.pk)

    assert refused == "scan_one_admission_per_ticket"
    assert is_admitted_once(ticket)


def test_control_without_lock_and_constraint_a_ticket_admits_twice(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type)
    [code], [ticket] = codes_of(reservation), tickets_of(reservation)
    with changed(*NOT_UNIQUE), changed(UNLOCKED, FUNCTION):
        doubled = scan_behind(at_north(ticket, steward.pk), code, steward.pk)

        assert doubled["result"] == "admitted"
        assert not is_admitted_once(ticket)


def test_control_without_the_lock_the_constraint_refuses_a_revoked_ticket(
    buyer: User, steward: User, ticket_type: TicketType
) -> None:
    reservation = paid(buyer, ticket_type)
    [code], [ticket] = codes_of(reservation), tickets_of(reservation)
    with changed(UNLOCKED, FUNCTION):
        refused = scan_behind(revoking(ticket), code, steward.pk)

    assert refused == "ticket_state_agrees_with_its_times"
