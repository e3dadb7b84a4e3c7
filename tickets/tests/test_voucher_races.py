"""Races for codes: two hundred people use one at once, orders with several end at once; and the guards."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets import operations, services, sql
from tickets.models import Inventory, Reservation, TicketType, Voucher
from tickets.order_services import Ordered
from tickets.tests.reserving import end, function_with, waiting_for_a_lock
from tickets.tests.vouchers import VOUCHERS_WRONG, claim_with, voucher_make

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = " > v_voucher.most_uses"


@pytest.fixture
def crowd() -> list[int]:
    users = [User(username=f"crowd{n}", email=f"crowd{n}@example.org") for n in range(200)]
    return [user.pk for user in User.objects.bulk_create(users)]


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    first = ticket_type_make(capacity=500)
    return [first, ticket_type_make(event=first.event, capacity=500)]


def codes(results: list[object]) -> Counter[str]:
    return Counter(
        "won" if isinstance(each, Ordered) else getattr(each, "code", repr(each)) for each in results
    )


@pytest.fixture
def restored() -> Iterator[None]:
    """Put back the guards that a test has removed."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(sql.text("reservations_claim"))
        cursor.execute("UPDATE tickets_voucher SET most_uses = NULL")
        cursor.execute(
            "ALTER TABLE tickets_voucher DROP CONSTRAINT IF EXISTS voucher_used_within_limit,"
            " ADD CONSTRAINT voucher_used_within_limit CHECK (most_uses IS NULL OR used <= most_uses)"
        )


def held(types: list[TicketType]) -> int:
    return sum(Inventory.objects.filter(pk__in=types).values_list("held", flat=True))


def without(*guards: tuple[str, str]) -> None:
    text = sql.text("reservations_claim")
    for guard, instead in guards:
        assert guard in text
        text = text.replace(guard, instead)
    with connection.cursor() as cursor:
        cursor.execute(text)


class TestTwoHundredUseOneCode:
    def rush(self, crowd: list[int], types: list[TicketType]) -> tuple[Counter[str], Voucher]:
        voucher = voucher_make(types[0].event, most_uses=50)
        results = together(
            *[lambda pk=pk, nth=nth: claim_with(pk, "SPRING", types[nth % 2]) for nth, pk in enumerate(crowd)]
        )
        voucher.refresh_from_db()
        return codes(results), voucher

    def test_a_code_is_used_exactly_fifty_times(self, crowd: list[int], types: list[TicketType]) -> None:
        outcome, voucher = self.rush(crowd, types)

        assert outcome == {"won": 50, "code_used_up": 150}
        assert voucher.used == Reservation.objects.filter(voucher=voucher).count() == 50
        assert db.rows(VOUCHERS_WRONG) == []
        assert held(types) == sum(Voucher.objects.values_list("used", flat=True))

    def test_the_check_of_the_table_alone_still_stops_at_fifty(
        self, crowd: list[int], types: list[TicketType], restored: None
    ) -> None:
        without((LIMIT, " > NULL"))

        outcome, voucher = self.rush(crowd[:80], types)

        assert (outcome["won"], voucher.used) == (50, 50)

    def test_control_without_both_checks_more_people_use_it(
        self, crowd: list[int], types: list[TicketType], restored: None
    ) -> None:
        without((LIMIT, " > NULL"))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tickets_voucher DROP CONSTRAINT voucher_used_within_limit")

        outcome, _voucher = self.rush(crowd[:80], types)

        assert outcome["won"] > 50
        assert db.rows(VOUCHERS_WRONG) != []


class TestOneOrderOfLocks:
    def claim_beside_release(self, buyer: User, other: User, types: list[TicketType]) -> list[object]:
        """Release a hold with a code while another buyer claims the same type with the same code."""
        voucher_make(types[0].event)
        mine = claim_with(buyer.pk, "SPRING", types[0]).order["order"]
        changed = threading.Event()

        def release() -> None:
            with db.transaction():
                [held], now = operations.order_lock(order_id=mine)
                db.rows(sql.VOUCHERS_LOCK, [[held.voucher_id]])
                changed.set()
                waiting_for_a_lock(1)
                operations.reservations_release(reservations=[held], now=now)

        def claim() -> Ordered:
            changed.wait(30)
            return claim_with(other.pk, "SPRING", types[0])

        return together(release, claim)

    def test_a_claim_waits_for_the_code_first(
        self, buyer: User, user_make: Callable[..., User], types: list[TicketType]
    ) -> None:
        released, claimed = self.claim_beside_release(buyer, user_make(), types)

        assert released is None
        assert isinstance(claimed, Ordered)
        assert db.rows(VOUCHERS_WRONG) == []

    def test_control_a_claim_that_locks_the_inventory_first_deadlocks(
        self, buyer: User, user_make: Callable[..., User], types: list[TicketType], restored: None
    ) -> None:
        without(
            (
                "    IF p_voucher IS NOT NULL THEN\n        -- Who uses",
                "    PERFORM FROM tickets_inventory i WHERE i.ticket_type_id = ANY (p_ticket_types)"
                " FOR NO KEY UPDATE;\n"
                "    IF p_voucher IS NOT NULL THEN\n        -- Who uses",
            )
        )

        results = self.claim_beside_release(buyer, user_make(), types)

        assert any("deadlock" in str(result) for result in results)

    def test_orders_with_two_codes_end_at_once_without_a_deadlock(
        self, crowd: list[int], types: list[TicketType]
    ) -> None:
        for text in ("ONE", "TWO"):
            voucher_make(types[0].event, text, most_uses=100)
        for nth, pk in enumerate(crowd[:40]):
            first, second = ("ONE", "TWO") if nth % 2 else ("TWO", "ONE")
            claim_with(pk, first, types[0])
            claim_with(pk, second, types[1])
        end(*User.objects.filter(pk__in=crowd[:20]))

        results = together(
            *[
                lambda pk=pk: [
                    services.reservation_release(buyer_id=pk, reservation_id=each)
                    for each in Reservation.objects.filter(buyer_id=pk).values_list("pk", flat=True)
                ]
                for pk in crowd[20:40]
            ],
            *[lambda each=each: services.due_holds_release(ticket_type=each.pk) for each in types * 3],
            *[lambda pk=pk: claim_with(pk, "ONE", types[1]) for pk in crowd[40:60]],
        )

        assert [each for each in results if isinstance(each, Exception)] == []
        assert {each.used for each in Voucher.objects.all()} == {20, 0}
        assert db.rows(VOUCHERS_WRONG) == []
        assert held(types) == sum(Voucher.objects.values_list("used", flat=True))

    def test_in_a_transaction_due_holds_of_a_code_in_use_are_left_for_later(
        self, buyer: User, user_make: Callable[..., User], types: list[TicketType]
    ) -> None:
        voucher = voucher_make(types[0].event)
        claim_with(buyer.pk, "SPRING", types[0])
        end(buyer)
        locked, tried = threading.Event(), threading.Event()

        def use() -> None:
            with db.transaction():
                db.rows(sql.VOUCHERS_LOCK, [[voucher.pk]])
                locked.set()
                tried.wait(30)

        def settle() -> list[dict[str, object]]:
            locked.wait(30)
            with db.transaction():
                db.rows("SELECT pg_current_xact_id()")  # as after waiting for a lock
                found = db.rows(sql.RELEASE_DUE, {"ticket_type": types[0].pk, "most": 10})
            tried.set()
            return found

        assert together(use, settle) == [None, []]
        assert services.due_holds_sweep() == 1


class TestLateMoney:
    """Late money locks the vouchers of its reservations before the inventories, as a claim does."""

    def beside_a_claim(self, buyer: User, types: list[TicketType]) -> list[object]:
        voucher = voucher_make(types[0].event)
        order_id = claim_with(buyer.pk, "SPRING", types[0]).order["order"]
        end(buyer)
        services.due_holds_sweep()
        begun = threading.Event()

        def as_a_claim() -> None:
            with db.transaction():
                db.rows("SELECT FROM tickets_voucher WHERE id = %s FOR NO KEY UPDATE", [voucher.pk])
                begun.set()
                waiting_for_a_lock(1)
                operations.inventories_lock(event_id=types[0].event_id)

        def validate() -> bool:
            assert begun.wait(30)
            with db.transaction():
                order, now = operations.order_lock(order_id=order_id)
                return operations.order_validate_late(reservations=order, now=now)

        return together(as_a_claim, validate)

    def test_it_waits_for_the_voucher_with_no_inventory_in_hand(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        assert self.beside_a_claim(buyer, types) == [None, True]

    def test_control_without_that_lock_they_deadlock(
        self, buyer: User, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "vouchers_lock", lambda _reservations: None)
        assert any("deadlock" in str(result) for result in self.beside_a_claim(buyer, types))


class TestRelease:
    """A release of due holds locks their vouchers by id, as all who lock several do."""

    def beside_locks_by_id(self, user_make: Callable[..., User], types: list[TicketType]) -> list[object]:
        vouchers = [voucher_make(types[0].event, text) for text in ("FIRST", "SECOND")]
        for text in ("SECOND", "FIRST"):
            holder = user_make()
            claim_with(holder.pk, text, types[0])
            end(holder)
        begun = threading.Event()

        def by_id() -> None:
            with db.transaction():
                for each in vouchers:
                    db.rows("SELECT FROM tickets_voucher WHERE id = %s FOR NO KEY UPDATE", [each.pk])
                    if not begun.is_set():
                        begun.set()
                        waiting_for_a_lock(1)

        def release() -> None:
            assert begun.wait(30)
            db.statement("SELECT buyers FROM holds_release_due(%s, 10)", [types[0].pk])

        return together(by_id, release)

    def test_it_waits_for_the_first_voucher_with_none_in_hand(
        self, user_make: Callable[..., User], types: list[TicketType]
    ) -> None:
        assert self.beside_locks_by_id(user_make, types) == [None, None]
        assert held(types) == 0

    def test_control_in_another_order_they_deadlock(
        self, user_make: Callable[..., User], types: list[TicketType]
    ) -> None:
        with function_with("holds_release_due", "ORDER BY v.id FOR", "ORDER BY v.id DESC FOR"):
            results = self.beside_locks_by_id(user_make, types)
        assert any("deadlock" in str(result) for result in results)
