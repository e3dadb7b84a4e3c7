"""Read the invariants past the proxy while faults go on, and compare the answers to clients with the database.

The queries of the stateful properties (checkout/tests/invariants.py) run four times a second, in one snapshot, on
the rows of the present round: views with the names of the tables leave out the older rows. After each round they
run on all rows.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extras import RealDictCursor

from checkout.tests.invariants import FOLLOWS, READINGS
from tests.chaos.history import Facts, Outcome

EVERY = 0.25  # seconds between two snapshots
RECENT = {
    "tickets_inventory": "ticket_type_id > {ticket_type}",
    "tickets_reservation": "id > {reservation}",
    "checkout_payment": "reservation_id > {reservation}",  # older holds may still be paid for
    "admission_ticket": "reservation_id > {reservation}",
}
FLOORS = """
SELECT (SELECT COALESCE(max(id), 0) FROM tickets_tickettype) AS ticket_type,
       (SELECT COALESCE(max(id), 0) FROM tickets_reservation) AS reservation
"""
ADMITTED_TWICE = """
SELECT ticket_id, count(*) FROM admission_scan WHERE result = 'admitted' AND undone_at IS NULL
 GROUP BY ticket_id HAVING count(*) > 1
"""
STUCK = {
    "payments in flight": "FROM checkout_payment WHERE status IN ('PENDING', 'PROCESSING', 'REFUNDING')",
    "refunds in flight": "FROM checkout_refund WHERE status IN ('PENDING', 'PROCESSING')",
    "holds past their end": "FROM tickets_reservation WHERE state = 'held' AND expires_at < now() - interval '9 s'",
    # When its sender dies, a mail is due again after a lease of two minutes.
    "mails past their time": "FROM checkout_receipt WHERE next_look_at < now() - interval '15 seconds'",
}
LEDGER = """
SELECT (SELECT count(*) FROM sandbox.intents WHERE outcome = 'succeeded') AS charges,
       (SELECT COALESCE(sum(amount), 0)::bigint FROM sandbox.intents WHERE outcome = 'succeeded') AS charged_minor,
       (SELECT COALESCE(sum(amount), 0)::bigint FROM sandbox.refunds) AS paid_back_minor,
       (SELECT count(*) FROM checkout_payment WHERE status = 'SUCCESS' AND amount_minor > 0) AS paid,
       (SELECT count(*) FROM checkout_payment WHERE status = 'REFUNDED') AS refunded,
       (SELECT COALESCE(sum(amount_minor), 0)::bigint FROM checkout_payment
         WHERE status IN ('SUCCESS', 'REFUNDED')) AS taken_minor,
       (SELECT COALESCE(sum(amount_minor), 0)::bigint FROM checkout_refund
         WHERE status = 'SUCCESS') AS returned_minor,
       (SELECT count(*) FROM sandbox.intents i WHERE outcome = 'succeeded' AND NOT EXISTS (
          SELECT FROM checkout_payment p WHERE p.id = i.payment AND p.gateway_reference = i.id
             AND p.status IN ('SUCCESS', 'REFUNDED'))) AS unmatched
"""


def connect(url: str) -> psycopg2.extensions.connection:
    """Open a connection past the proxy, with time-outs, so that no reading blocks for long."""
    options = "-c statement_timeout=60000 -c lock_timeout=5000"
    return psycopg2.connect(url, connect_timeout=5, cursor_factory=RealDictCursor, options=options)


def rows(connection: psycopg2.extensions.connection, statement: str, *params: Any) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return [dict(row) for row in cursor.fetchall()]


@dataclass
class Readings:
    """The thread that reads snapshots, and all violations that were found."""

    url: str
    snapshots: int = 0
    unreadable: int = 0  # times when PostgreSQL did not answer
    violations: list[dict[str, Any]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    _floors: dict[str, int] = field(default_factory=lambda: {"ticket_type": 0, "reservation": 0})
    _states: dict[int, str] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _connection: psycopg2.extensions.connection | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="readings", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        self._thread.join(timeout=90)

    def new_round(self) -> None:
        """Leave the rows that exist now to the audit."""
        connection = connect(self.url)
        with connection:
            [floors] = rows(connection, FLOORS)
        connection.close()
        with self._lock:
            self._floors, self._states = floors, {}
            self._forget_connection()

    def note(self, kind: str, detail: Any) -> None:
        """Write down a violation."""
        self.kinds[kind] += 1
        if len(self.violations) < 100:
            self.violations.append({"kind": kind, "detail": repr(detail)[:500], "at": time.time()})

    def _run(self) -> None:
        while not self._ending.wait(EVERY):
            with self._lock:
                try:
                    self._look()
                    self.snapshots += 1
                except psycopg2.Error:
                    self.unreadable += 1
                    self._forget_connection()
                except Exception as error:
                    self.note("the readings ended", error)  # a run without snapshots proves nothing
                    raise

    def _look(self) -> None:
        connection = self._connected()
        with connection:
            for kind, statement in READINGS.items():
                if found := rows(connection, statement):
                    self.note(kind, found[:5])
            now = {
                row["id"]: row["state"]
                for row in rows(connection, "SELECT id, state FROM tickets_reservation")
            }
        for pk, state in self._states.items():
            if pk not in now:
                self.note("I5 a reservation is gone", pk)
            elif now[pk] not in LATER[state]:
                self.note("I2 a reservation ends once", f"{pk}: {state} to {now[pk]}")
        self._states = now

    def _connected(self) -> psycopg2.extensions.connection:
        if self._connection is None:
            connection = connect(self.url)
            connection.set_session(isolation_level="REPEATABLE READ", readonly=False)
            with connection, connection.cursor() as cursor:
                for table, where in RECENT.items():
                    condition = where.format(**self._floors)
                    recent = f"SELECT * FROM public.{table} WHERE {condition}"  # noqa: S608
                    cursor.execute(f"CREATE TEMP VIEW {table} AS {recent}")
            self._connection = connection
        return self._connection

    def _forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # At the end of a round ---------------------------------------------------------------------------------
    def audit(self, facts: Facts) -> dict[str, Any]:
        """Read every invariant of all rows, and compare the answers to clients with the database."""
        connection = connect(self.url)
        try:
            with connection:
                for kind, statement in {**READINGS, "I9 a code admits once": ADMITTED_TWICE}.items():
                    if found := rows(connection, statement):
                        self.note(kind, found[:5])
                self._audit_facts(connection, facts)
                [ledger] = rows(connection, LEDGER)
        finally:
            connection.close()
        if ledger["unmatched"] or ledger["charged_minor"] != ledger["taken_minor"]:
            self.note("I4 the ledger agrees", ledger)
        if ledger["paid_back_minor"] != ledger["returned_minor"]:
            self.note("I4 what was paid back agrees", ledger)
        return ledger

    def _audit_facts(self, connection: psycopg2.extensions.connection, facts: Facts) -> None:
        reservations = {
            row["id"]: row
            for row in rows(
                connection,
                "SELECT id, buyer_id, quantity, state, idempotency_key, lead_id FROM tickets_reservation",
            )
        }
        by_key = {row["idempotency_key"]: row for row in reservations.values() if row["idempotency_key"]}
        for key, claim in facts.claims.items():
            self._audit_claim(key, claim, by_key.get(key), reservations)
        for pk, quantity in facts.quantities.items():
            if pk in reservations and reservations[pk]["quantity"] != quantity:
                self.note("I5 an acknowledged change is lost", (pk, quantity, reservations[pk]))
        for pk in facts.released:
            if pk not in reservations or reservations[pk]["state"] != "released":
                self.note("I5 an acknowledged release is lost", (pk, reservations.get(pk)))
        payments = {
            row["id"]: row["status"] for row in rows(connection, "SELECT id, status FROM checkout_payment")
        }
        for pk in facts.accepted:
            if payments.get(pk) in (None, "NOT_STARTED"):
                self.note("I5 an accepted payment is lost", (pk, payments.get(pk)))
        for pk in facts.paid:
            if payments.get(pk) not in ("SUCCESS", "REFUNDED"):
                self.note("I5 a payment shown as paid is lost", (pk, payments.get(pk)))
        scans = {str(row["scan_id"]) for row in rows(connection, "SELECT scan_id FROM admission_scan")}
        for code, admitting in facts.admitted.items():
            if len(admitting) > 1:
                self.note("I9 a code admits once", (code, admitting))
            if not admitting <= scans:
                self.note("I5 an acknowledged scan is lost", admitting - scans)

    def _audit_claim(self, key: str, claim: Any, row: dict[str, Any] | None, by_id: dict[int, Any]) -> None:
        granted = {pk for outcome, pk in claim.answers if outcome is Outcome.OK}
        if len(granted) > 1:
            self.note("I6 one key, one reservation", (key, granted))
        for pk in granted:
            if pk not in by_id or row is None or row["id"] != pk or row["buyer_id"] != claim.buyer:
                self.note("I5 an acknowledged reservation is lost", (key, pk, row))
        refused = {outcome for outcome, _ in claim.answers} == {Outcome.FAILED}
        if refused and row is not None:
            self.note("I5 a refused request left a trace", (key, claim.answers, row))

    def stuck(self) -> dict[str, int]:
        """Count what has not settled yet, by name."""
        connection = connect(self.url)
        try:
            with connection:
                found = {
                    name: rows(connection, f"SELECT count(*) AS n {which}")[0]["n"]
                    for name, which in STUCK.items()
                }
        finally:
            connection.close()
        return {name: number for name, number in found.items() if number}


def _reachable(state: str) -> set[str]:
    """Return all states that a reservation in a state may have later, the state itself too."""
    found: set[str] = set()
    new = {state}
    while new:
        found |= new
        new = {later for each in new for later in FOLLOWS[each]} - found
    return found


LATER = {state: _reachable(state) for state in FOLLOWS}
