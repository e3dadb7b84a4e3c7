"""A shop whose use cases run in any order, for the stateful tests of I1 to I4, I6 and I9.

Each rule is one use case, on the real database and the sandbox's own ledger. Time passes by moving the times in the
rows back. After each rule the invariants are read from the tables. At the end everything settles, and the ledger is
audited.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.models import Case, OrderBy, QuerySet, Value, When
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from checkout import services as checkout
from checkout.gateways import ledger
from checkout.gateways.sandbox import signed_news
from checkout.models import Payment, Refund
from checkout.rules import IN_FLIGHT
from checkout.tests.invariants import EMPTY_LEDGER, FOLLOWS, snapshot_prepare
from checkout.tests.paying import audit, heal
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError
from tickets import event_operations, order_services, services, sold_out_cache
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.order_services import Wanted
from tickets.tests.vouchers import voucher_make

HOLD = timedelta(minutes=15)
BUYERS, TYPES = 3, 3
TOKENS = ["ok", "ok", "card_error", "payment_error", "timeout_charged", "timeout_uncharged"]
OPERATIONS = ["create_intent", "confirm", "cancel", "refund"]
FAULTS = st.none() | st.tuples(st.sampled_from(OPERATIONS), st.sampled_from(["before", "after", "500"]))
_names = itertools.count(1)

buyers = st.integers(0, BUYERS - 1)
types = st.integers(0, TYPES - 1)
quantities = st.integers(1, 3)
keys = st.none() | st.sampled_from(["a", "b", "c"])
picks = st.sampled_from([0, 0, 0, 1, 2, 3])


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


_planned: list[Any] = []  # the connection that has the plan of the snapshot


def snapshot() -> list[tuple[str, Any]]:
    """Return the rows that break an invariant, by its name, and the states of all reservations."""
    connection.ensure_connection()
    if _planned != [connection.connection]:
        run(snapshot_prepare())
        _planned[:] = [connection.connection]
    with connection.cursor() as cursor:
        cursor.execute("EXECUTE snapshot")
        return [(name, json.loads(value) if value else None) for name, value in cursor.fetchall()]


@contextmanager
def failing(fault: tuple[str, str] | None) -> Iterator[None]:
    """Let one operation of the sandbox lose its request or its answer."""
    settings.SANDBOX_FAULTS = dict([fault]) if fault else {}
    try:
        yield
    finally:
        settings.SANDBOX_FAULTS = {}


def _one(rows: QuerySet[Any], pick: int) -> int:
    """Return the id of one of the first rows, or an id that does not exist."""
    found = list(rows.values_list("pk", flat=True)[:6])
    return found[pick % len(found)] if found else 0


def _first(**facts: Any) -> OrderBy:
    """Sort rows with these facts before the others."""
    return OrderBy(Case(When(then=Value(0), **facts), default=Value(1)))


def _waiting(model: type[Payment] | type[Refund]) -> QuerySet[Any]:
    return model._default_manager.order_by(_first(next_look_at__isnull=False), "-pk")


class Shop(RuleBasedStateMachine):
    """A few buyers, a few tickets, staff, workers, a gateway and a clock."""

    @initialize(capacities=st.lists(st.integers(1, 8), min_size=TYPES, max_size=TYPES), free=st.booleans())
    def open(self, capacities: list[int], free: bool = False) -> None:
        """Begin with an event of a few ticket types, the last of them free in some runs."""
        call_command("flush", verbosity=0)
        with ledger.opened() as book:
            book.rows(EMPTY_LEDGER)
        sold_out_cache.forget()
        date = timezone.now() + timedelta(days=30)
        self.event = Event.objects.create(name=f"Event {next(_names)}", date=date, currency="EUR")
        self.types = [self._type(nth, capacity, free) for nth, capacity in enumerate(capacities)]
        for text, most_uses in {"FEW": 4, "SOME": 9}.items():
            voucher_make(self.event, text, self.types[:2], most_uses=most_uses)
        self.users = [self._user() for _ in range(BUYERS + 1)]
        self.staff = self.users.pop()
        self.granted: list[tuple[Callable[[], Any], Any]] = []
        self.states: dict[str, str] = {}

    def _type(self, nth: int, capacity: int, free: bool) -> TicketType:
        price = 0 if free and nth == TYPES - 1 else 700 + nth
        made = TicketType.objects.create(event=self.event, name=f"T{nth}", price_minor=price, max_per_user=4)
        Inventory.objects.create(ticket_type=made, capacity=capacity, closes_at=self.event.date)
        return made

    def _user(self) -> User:
        name = f"machine{next(_names)}"
        return User.objects.create(username=name, email=f"{name}@example.org", password="!")

    # What buyers do ----------------------------------------------------------------------------------------
    @rule(buyer=buyers, kind=types, quantity=quantities, key=keys)
    def reserve(self, buyer: int, kind: int, quantity: int, key: str | None = None) -> None:
        def claim() -> services.Reserved:
            return services.reservation_create(
                buyer_id=self.users[buyer].pk,
                ticket_type=self.types[kind].pk,
                quantity=quantity,
                key=key,
                hold=HOLD,
                now=timezone.now(),
            )

        sold_out_cache.forget()
        with suppress(DomainError):
            answer = claim()
            if key is not None:
                self.granted.append((claim, answer.reservation["id"]))

    @rule(
        buyer=buyers,
        wanted=st.dictionaries(types, quantities, min_size=1),
        key=keys,
        pick=st.none() | picks,
        code=st.sampled_from([None, "FEW", "SOME"]),
    )
    def order(
        self,
        buyer: int,
        wanted: dict[int, int],
        key: str | None = None,
        pick: int | None = None,
        code: str | None = None,
    ) -> None:
        added_to = None if pick is None else self._order_of(buyer, pick)

        def claim() -> order_services.Ordered:
            items = [Wanted(ticket_type=self.types[kind].pk, quantity=many) for kind, many in wanted.items()]
            return order_services.order_claim(
                buyer_id=self.users[buyer].pk,
                items=items,
                order_id=added_to,
                key=key,
                hold=HOLD,
                now=timezone.now(),
                code=code,
            )

        sold_out_cache.forget()
        with suppress(DomainError):
            answer = claim()
            if key is not None:
                self.granted.append((claim, answer.order["order"]))

    @rule(pick=picks)
    def repeat(self, pick: int) -> None:
        """Send a granted request again: it gets the same answer and changes nothing (I6)."""
        if not self.granted:
            return
        claim, first = self.granted[pick % len(self.granted)]
        services.due_holds_sweep()
        before = self.digest()
        try:
            answer = claim()
        except DomainError as refused:
            raise AssertionError(f"a repeat was refused: {refused.code}") from refused
        assert answer.replayed, "a repeat was treated as a new request"
        found = answer.reservation["id"] if hasattr(answer, "reservation") else answer.order["order"]
        assert found == first
        assert self.digest() == before

    @rule(pick=picks, quantity=st.integers(1, 5))
    def resize(self, pick: int, quantity: int) -> None:
        buyer, reservation = self._held(pick)
        with suppress(DomainError):
            services.reservation_resize(buyer_id=buyer, reservation_id=reservation, quantity=quantity)

    @rule(pick=picks)
    def extend(self, pick: int) -> None:
        buyer, reservation = self._held(pick)
        with suppress(DomainError):
            services.reservation_extend(buyer_id=buyer, reservation_id=reservation)

    @rule(pick=picks)
    def release(self, pick: int) -> None:
        buyer, reservation = self._held(pick)
        with suppress(DomainError):
            services.reservation_release(buyer_id=buyer, reservation_id=reservation)

    @rule(pick=picks, token=st.sampled_from(TOKENS))
    def pay(self, pick: int, token: str = "ok") -> None:
        buyer, reservation = self._held(pick)
        with suppress(DomainError):
            checkout.reservation_pay(
                buyer_id=buyer, reservation_id=reservation, gateway="sandbox", token=token
            )

    @rule(buyer=buyers, kind=types, quantity=quantities, token=st.sampled_from(TOKENS), fault=FAULTS)
    def buy(self, buyer: int, kind: int, quantity: int, token: str, fault: tuple[str, str] | None) -> None:
        """Do the usual steps at once, because chance alone produces them too rarely."""
        self.reserve(buyer=buyer, kind=kind, quantity=quantity, key=None)
        self.pay(pick=0, token=token)
        self.work(pick=0, fault=fault)

    @rule(pick=picks)
    def forget_payment(self, pick: int) -> None:
        payment = Payment.objects.filter(pk=_one(Payment.objects.order_by("-pk"), pick)).first()
        with suppress(DomainError):
            if payment is not None:
                checkout.payment_remove(buyer_id=payment.buyer_id, payment_id=payment.pk)

    # What workers, the gateway and the clock do -----------------------------------------------------------
    @rule(pick=picks, fault=FAULTS)
    def work(self, pick: int, fault: tuple[str, str] | None = None) -> None:
        with failing(fault):
            checkout.payment_process(payment_id=_one(_waiting(Payment), pick))

    @rule(pick=picks, fault=FAULTS)
    def work_on_refund(self, pick: int, fault: tuple[str, str] | None = None) -> None:
        with failing(fault):
            checkout.refund_process(refund_id=_one(_waiting(Refund), pick))

    @rule(pick=picks)
    def webhook(self, pick: int) -> None:
        """Deliver one of the gateway's latest messages, new or not."""
        events = db.rows("SELECT id, intent FROM sandbox.events ORDER BY id DESC LIMIT 5")
        if events:
            body, headers = signed_news(events[pick % len(events)])
            checkout.webhook_take(gateway="sandbox", body=body, headers=headers)

    @rule(minutes=st.sampled_from([1, 5, 16, 40]))
    def time_passes(self, minutes: int) -> None:
        by = f"interval '{minutes} minutes'"
        for table, columns in {
            "tickets_reservation": ["created", "expires_at", "paying_since"],
            "checkout_payment": ["lease_until", "next_look_at", "deadline"],
            "checkout_refund": ["lease_until", "next_look_at"],
        }.items():
            moved = ", ".join(f"{column} = {column} - {by}" for column in columns)
            run(f"UPDATE {table} SET {moved}")  # noqa: S608

    @rule()
    def sweep(self) -> None:
        services.due_holds_sweep()

    @rule()
    def reconcile(self) -> None:
        checkout.charges_reconcile(gateway="sandbox", since=timezone.now() - timedelta(days=1))

    # What staff do -----------------------------------------------------------------------------------------
    @rule(pick=picks, amount=st.none() | st.integers(1, 2500), seats=st.booleans())
    def refund(self, pick: int, amount: int | None = None, seats: bool = False) -> None:
        with suppress(DomainError):
            checkout.refund_request(
                staff_id=self.staff.pk,
                payment_id=_one(Payment.objects.order_by(_first(status="SUCCESS"), "-pk"), pick),
                amount_minor=amount,
                return_tickets=seats,
            )

    @rule(pick=picks)
    def return_seats(self, pick: int) -> None:
        with suppress(DomainError):
            checkout.reservation_return(
                staff_id=self.staff.pk, reservation_id=_one(Reservation.objects.order_by("-pk"), pick)
            )

    @rule(kind=types, capacity=st.integers(0, 8))
    def set_capacity(self, kind: int, capacity: int) -> None:
        with suppress(IntegrityError), db.transaction():
            event_operations.inventory_set(ticket_type=self.types[kind], capacity=capacity)
            event_operations.event_changed(event_id=self.event.pk, now=timezone.now())

    @rule(kind=types, price=st.integers(0, 900))
    def set_price(self, kind: int, price: int) -> None:
        TicketType.objects.filter(pk=self.types[kind].pk).update(price_minor=price)

    @rule(paused=st.sampled_from([False, False, True]))
    def pause(self, paused: bool) -> None:
        services.sale_pause(staff_id=None, event_ids=[self.event.pk], paused=paused, now=timezone.now())

    # What must hold ----------------------------------------------------------------------------------------
    @invariant()
    def everything_holds(self) -> None:
        """Check I1, I3, I4 and I9 (invariants.py), and that a reservation ends once (I2)."""
        found = snapshot()
        now: dict[str, str] = next(value for name, value in found if name == "states") or {}
        assert [(name, value) for name, value in found if name != "states"] == []
        for pk, state in getattr(self, "states", {}).items():
            assert now[pk] in FOLLOWS[state], f"reservation {pk}: {state} to {now[pk]}"
        self.states = now

    def teardown(self) -> None:
        """Let everything settle, and audit it."""
        if hasattr(self, "types"):
            heal(rounds=3)
            services.due_holds_sweep()
            Payment.objects.update(deadline=timezone.now() - timedelta(hours=2))
            heal()
            assert not Payment.objects.filter(status__in=IN_FLIGHT).exists(), "a payment is stuck"
            self.everything_holds()
            audit()

    # Helpers -----------------------------------------------------------------------------------------------
    def digest(self) -> str:
        """Return a value that changes when a row of ours changes."""
        tables = ("tickets_reservation", "tickets_inventory", "checkout_payment", "checkout_refund")
        rows = " || ".join(
            f"(SELECT coalesce(string_agg({table}::text, '' ORDER BY {table}::text), '') FROM {table})"  # noqa: S608
            for table in (*tables, "admission_ticket")
        )
        [row] = db.rows(f"SELECT md5({rows}) AS digest")
        return str(row["digest"])

    def _held(self, pick: int) -> tuple[int, int]:
        """Return the buyer and the id of a reservation; of a held one if there is one."""
        found = _one(Reservation.objects.order_by(_first(state="held"), "-pk"), pick)
        chosen = Reservation.objects.filter(pk=found).first()
        return (chosen.buyer_id, chosen.pk) if chosen else (0, 0)

    def _order_of(self, buyer: int, pick: int) -> int:
        mine = Reservation.objects.filter(buyer=self.users[buyer]).order_by(_first(state="held"), "-pk")
        found = Reservation.objects.filter(pk=_one(mine, pick)).first()
        return found.order_id if found else 0
