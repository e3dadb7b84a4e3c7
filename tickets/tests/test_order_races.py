"""Races of orders of several types: with one another, with releases, changes and sweeps; and the guards."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets import counter_operations, operations, order_services, services
from tickets.models import Inventory, Reservation, TicketType
from tickets.order_services import Ordered, Wanted
from tickets.tests.reserving import (
    HOLD,
    Witness,
    done_or_waiting_for_a_lock,
    end,
    function_with,
    waiting_for_a_lock,
)

pytestmark = pytest.mark.django_db(transaction=True)


def claim_order(
    buyer_id: int,
    *types: TicketType,
    quantity: int = 1,
    order_id: int | None = None,
    key: str | None = None,
    hold: timedelta = HOLD,
) -> Ordered:
    return order_services.order_claim(
        buyer_id=buyer_id,
        items=[Wanted(ticket_type=each.pk, quantity=quantity) for each in types],
        order_id=order_id,
        key=key,
        hold=hold,
        now=timezone.now(),
    )


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    first = ticket_type_make(capacity=50)
    return [first, ticket_type_make(event=first.event, capacity=50)]


@pytest.fixture
def crowd() -> list[int]:
    users = [User(username=f"order{n}", email=f"order{n}@example.org") for n in range(100)]
    return [user.pk for user in User.objects.bulk_create(users)]


def codes(results: list[object]) -> dict[str, int]:
    found: dict[str, int] = {}
    for result in results:
        name = "won" if isinstance(result, Ordered) else getattr(result, "code", str(result))
        found[name] = found.get(name, 0) + 1
    return found


def beside_locks_by_id(types: list[TicketType], action: Callable[[], object]) -> list[object]:
    """Run an action while another transaction locks the inventories by id, and has the first; return both results.

    The other one takes the next as soon as the action waits for a lock.
    """
    begun = threading.Event()

    def by_id() -> None:
        with db.transaction():
            for each in types:
                db.rows(
                    "SELECT FROM tickets_inventory WHERE ticket_type_id = %s FOR NO KEY UPDATE", [each.pk]
                )
                if not begun.is_set():
                    begun.set()
                    waiting_for_a_lock(1)

    def beside() -> object:
        begun.wait(30)
        return action()

    return together(by_id, beside)


class TestOppositeOrder:
    def test_all_or_none_for_a_hundred_buyers_in_both_orders(
        self, crowd: list[int], types: list[TicketType]
    ) -> None:
        forth, back = types, types[::-1]

        with Witness(types[0]) as first, Witness(types[1]) as second:
            results = together(
                *[
                    lambda pk=pk, nth=nth: claim_order(pk, *(forth if nth % 2 else back))
                    for nth, pk in enumerate(crowd)
                ]
            )

        assert codes(results) == {"won": 50, "all_held": 50}
        assert (first.broken, second.broken) == ([], [])
        assert list(Inventory.objects.order_by("pk").values_list("held", flat=True)) == [50, 50]
        orders = [r.order_id for r in Reservation.objects.all()]
        assert sorted(orders) == sorted([*set(orders), *set(orders)])

    def test_the_check_alone_still_sells_exactly_fifty(
        self, crowd: list[int], types: list[TicketType]
    ) -> None:
        condition = "i.held::bigint + i.sold + w.quantity <= i.capacity"
        with function_with("reservations_claim", condition, "true"), Witness(types[1]) as witness:
            results = together(*[lambda pk=pk: claim_order(pk, *types) for pk in crowd])

        assert codes(results) == {"won": 50, "all_held": 50}
        assert witness.broken == []

    def opposite(self, buyer: User, types: list[TicketType]) -> list[object]:
        """Claim two types, the later one first, while another transaction takes the earlier one first."""
        return beside_locks_by_id(types, lambda: claim_order(buyer.pk, *types[::-1]))

    def test_two_claims_in_opposite_order_wait_for_each_other(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        first, second = self.opposite(buyer, types)

        assert first is None
        assert isinstance(second, Ordered)

    def test_control_without_one_order_of_locks_they_deadlock(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        as_asked = "ORDER BY array_position(p_ticket_types, i.ticket_type_id)\n"
        with function_with("reservations_claim", "ORDER BY i.ticket_type_id\n", as_asked):
            results = self.opposite(buyer, types)

        assert any("deadlock" in str(result) for result in results)


class TestMakingRoom:
    """Before the first of its due holds is released, all inventories of an event are locked, by id."""

    def due(self, buyer: User, ticket_type: TicketType) -> int:
        order_id: int = claim_order(buyer.pk, ticket_type).order["order"]
        end(buyer)
        return order_id

    @pytest.fixture
    def late(
        self, buyer: User, types: list[TicketType], user_make: Callable[..., User]
    ) -> Callable[[], bool]:
        """Return a step that validates an expired order of both types, while a hold of the second type is due."""
        order_id = claim_order(buyer.pk, *types).order["order"]
        end(buyer)
        services.due_holds_sweep()
        self.due(user_make(), types[1])

        def validate() -> bool:
            with db.transaction():
                order, now = operations.order_lock(order_id=order_id)
                return operations.order_validate_late(reservations=order, now=now)

        return validate

    @pytest.fixture
    def sell(self, buyer: User, types: list[TicketType], user_make: Callable[..., User]) -> Callable[[], int]:
        """Return a step that claims both types at the counter, while a hold of the second type is due."""
        self.due(user_make(), types[1])

        def claim() -> int:
            with db.transaction():
                claimed, _ = counter_operations.order_claim_at_counter(
                    buyer_id=buyer.pk,
                    event_id=types[0].event_id,
                    quantities=dict.fromkeys([each.pk for each in types], 1),
                )
            return len(claimed)

        return claim

    def test_late_money_waits_for_the_first_inventory_with_none_in_hand(
        self, late: Callable[[], bool], types: list[TicketType]
    ) -> None:
        assert beside_locks_by_id(types, late) == [None, True]
        assert list(Inventory.objects.order_by("pk").values_list("held", "sold")) == [(0, 1), (0, 1)]

    def test_a_sale_at_the_counter_waits_for_the_first_inventory_with_none_in_hand(
        self, sell: Callable[[], int], types: list[TicketType]
    ) -> None:
        assert beside_locks_by_id(types, sell) == [None, 2]
        assert list(Inventory.objects.order_by("pk").values_list("held", flat=True)) == [1, 1]

    @pytest.mark.parametrize("step", ["late", "sell"])
    def test_control_without_that_lock_they_deadlock(
        self,
        step: str,
        types: list[TicketType],
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        action = request.getfixturevalue(step)
        monkeypatch.setattr(operations, "inventories_lock", lambda **_: {})

        results = beside_locks_by_id(types, action)

        assert any("deadlock" in str(result) for result in results)

    def test_a_due_hold_that_is_ended_at_that_moment_is_skipped(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        order_id = self.due(buyer, types[1])
        hold_locked, inventories_locked = threading.Event(), threading.Event()

        def release() -> None:
            with db.transaction():
                order, now = operations.order_lock(order_id=order_id)
                hold_locked.set()
                inventories_locked.wait(30)
                operations.reservations_release(reservations=order, now=now)

        def make_room() -> None:
            event_id = types[0].event_id
            hold_locked.wait(30)
            with db.transaction():
                operations.inventories_lock(event_id=event_id)
                inventories_locked.set()
                waiting_for_a_lock(1)
                operations.due_holds_make_room(
                    event_id=event_id, ticket_types=[each.pk for each in types], now=db.now()
                )

        assert together(release, make_room) == [None, None]
        assert Reservation.objects.get().state == "released"


class TestBesideAnEndingHold:
    def claim_beside_release(self, buyer: User, types: list[TicketType]) -> list[object]:
        """Claim while a release of the same buyer has changed its reservation, but not the inventory yet."""
        mine = services.reservation_create(
            buyer_id=buyer.pk, ticket_type=types[1].pk, quantity=1, key=None, hold=HOLD, now=timezone.now()
        ).reservation["id"]
        half_released, claimed = threading.Event(), threading.Event()

        def release() -> None:
            with db.transaction():
                Reservation.objects.filter(pk=mine).update(state="released", ended_at=timezone.now())
                half_released.set()
                done_or_waiting_for_a_lock(claimed.is_set)
                Inventory.objects.filter(pk=types[1].pk).update(held=0)

        def beside() -> Ordered:
            half_released.wait(30)
            try:
                return claim_order(buyer.pk, *types)
            finally:
                claimed.set()

        return together(release, beside)

    def test_a_claim_beside_an_ending_hold_is_refused_at_once(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        _, answer = self.claim_beside_release(buyer, types)

        assert getattr(answer, "code", answer) == "already_reserved"
        assert list(Inventory.objects.order_by("pk").values_list("held", flat=True)) == [0, 0]

    def test_control_without_the_check_under_the_lock_they_deadlock(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        with function_with("reservations_claim", "bool_or(r.state <> 'validated') OR ", ""):
            results = self.claim_beside_release(buyer, types)

        assert any("deadlock" in str(result) for result in results)


class TestOneBuyerTwice:
    def test_a_double_click_holds_once(self, buyer: User, types: list[TicketType]) -> None:
        results = together(*[lambda: claim_order(buyer.pk, *types)] * 6)

        assert codes(results) == {"won": 1, "already_reserved": 5}
        assert list(Inventory.objects.values_list("held", flat=True)) == [1, 1]

    def test_a_double_click_with_a_key_is_one_order_for_all(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        results = together(*[lambda: claim_order(buyer.pk, *types, key="click")] * 6)

        assert codes(results) == {"won": 6}
        assert len({result.order["order"] for result in results if isinstance(result, Ordered)}) == 1
        assert Reservation.objects.count() == 2


class TestAddingBeside:
    def test_two_additions_at_once_are_both_in_the_order(
        self, buyer: User, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        more = [ticket_type_make(event=types[0].event) for _ in range(4)]
        order = claim_order(buyer.pk, types[0]).order["order"]

        results = together(*[lambda each=each: claim_order(buyer.pk, each, order_id=order) for each in more])

        assert codes(results) == {"won": 4}
        assert {each.order_id for each in Reservation.objects.all()} == {order}

    def test_the_last_place_in_an_order_is_taken_once(
        self, buyer: User, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        more = [ticket_type_make(event=types[0].event) for _ in range(21)]
        order = claim_order(buyer.pk, *more[:19]).order["order"]

        results = together(
            *[lambda each=each: claim_order(buyer.pk, each, order_id=order) for each in more[19:]]
        )

        assert codes(results) == {"won": 1, "order_full": 1}

    def test_an_extension_waits_for_an_addition_and_extends_it_too(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        order = claim_order(buyer.pk, types[0], hold=timedelta(seconds=30)).order["order"]
        added = threading.Event()

        def add() -> None:
            with db.transaction():
                db.rows(
                    "SELECT FROM reservations_claim(%s, %s, '{1}', %s, NULL, '1 minute', NULL, 'batch')",
                    [buyer.pk, [types[1].pk], order],
                )
                added.set()
                waiting_for_a_lock(1)

        def extend() -> object:
            added.wait(30)
            return services.reservation_extend(buyer_id=buyer.pk, reservation_id=order)

        committed, extended = together(add, extend)

        ends = list(Reservation.objects.values_list("expires_at", flat=True))
        assert (committed, ends) == (None, [extended["expires_at"]] * 2)


class TestResizing:
    def test_two_buyers_want_the_last_ticket_more(
        self, user_make: Callable[..., User], types: list[TicketType]
    ) -> None:
        Inventory.objects.update(capacity=3)
        buyers = [user_make(), user_make()]
        mine = [claim_order(buyer.pk, types[0]).order["order"] for buyer in buyers]

        with Witness(types[0]) as witness:
            results = together(
                *[
                    lambda buyer=buyer, pk=pk: services.reservation_resize(
                        buyer_id=buyer.pk, reservation_id=pk, quantity=2
                    )
                    for buyer, pk in zip(buyers, mine, strict=True)
                ]
            )

        assert sorted(getattr(result, "code", "granted") for result in results) == ["all_held", "granted"]
        assert witness.broken == []

    def test_a_hold_changed_beside_a_release_ends_once(self, buyer: User, types: list[TicketType]) -> None:
        mine = claim_order(buyer.pk, types[0]).order["order"]

        together(
            *[lambda: services.reservation_resize(buyer_id=buyer.pk, reservation_id=mine, quantity=4)] * 3,
            lambda: services.reservation_release(buyer_id=buyer.pk, reservation_id=mine),
        )

        assert Inventory.objects.get(pk=types[0].pk).held == 0
        assert Reservation.objects.get().state == "released"

    def test_a_pause_is_obeyed_by_a_change_that_was_waiting(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        mine = claim_order(buyer.pk, types[0]).order["order"]
        locked = threading.Event()

        def pause() -> None:
            with db.transaction():
                db.rows("UPDATE tickets_inventory SET paused = true WHERE ticket_type_id = %s", [types[0].pk])
                locked.set()
                waiting_for_a_lock(1)

        def resize() -> object:
            locked.wait(30)
            return services.reservation_resize(buyer_id=buyer.pk, reservation_id=mine, quantity=2)

        _, answer = together(pause, resize)

        assert getattr(answer, "code", answer) == "sale_paused"


class TestPausing:
    @pytest.mark.parametrize(("flag", "code"), [("paused", "sale_paused"), ("line_first", "line_first")])
    def test_a_pause_is_obeyed_by_an_order_that_was_waiting(
        self, buyer: User, types: list[TicketType], flag: str, code: str
    ) -> None:
        locked = threading.Event()

        def pause() -> None:
            with db.transaction():
                Inventory.objects.filter(pk=types[1].pk).update(**{flag: True})
                locked.set()
                waiting_for_a_lock(1)

        def claim() -> Ordered:
            locked.wait(30)
            return claim_order(buyer.pk, *types)

        _, answer = together(pause, claim)

        assert (getattr(answer, "code", answer), answer.facts["ticket_type"]) == (code, types[1].pk)
        assert not Reservation.objects.exists()


class TestOrderLock:
    LEAD_FIRST = "PERFORM FROM tickets_reservation r WHERE r.id = p_order FOR NO KEY UPDATE;"

    def beside_an_addition(self, buyer: User, types: list[TicketType]) -> object:
        """Lock an order while another transaction adds to it; return how many reservations the lock has found."""
        order_id: int = claim_order(buyer.pk, types[0]).order["order"]
        added, locked = threading.Event(), threading.Event()

        def add() -> None:
            with db.transaction():
                Reservation.objects.select_for_update(no_key=True).get(pk=order_id)
                lead = Reservation.objects.get(pk=order_id)
                lead.pk, lead.lead_id, lead.ticket_type = None, order_id, types[1]
                lead._state.adding = True
                lead.save()
                added.set()
                done_or_waiting_for_a_lock(locked.is_set)

        def lock() -> int:
            assert added.wait(30)
            try:
                with db.transaction():
                    return len(operations.order_lock(order_id=order_id)[0])
            finally:
                locked.set()

        return together(add, lock)[1]

    def test_the_lock_waits_for_an_addition_and_has_what_was_added(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        assert self.beside_an_addition(buyer, types) == 2

    def test_control_without_the_lead_locked_first_it_misses_what_is_added(
        self, buyer: User, types: list[TicketType]
    ) -> None:
        with function_with("order_lock", self.LEAD_FIRST, ""):
            assert self.beside_an_addition(buyer, types) == 1

    IN_ORDER = "ORDER BY r.id FOR NO KEY UPDATE"

    @pytest.fixture
    def three(self, types: list[TicketType], ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
        return [*types, ticket_type_make(event=types[0].event)]

    def is_third_locked_first(self, buyer: User, types: list[TicketType]) -> object:
        """Lock an order while another transaction has its second reservation; return whether the third is locked.

        The second row was written again, so that it lies behind the third one in the table.
        """
        order = claim_order(buyer.pk, *types).order
        order_id, second, third = sorted(each["id"] for each in order["reservations"])
        Reservation.objects.filter(pk=second).update(expires_at=timezone.now() + HOLD)
        begun = threading.Event()

        def hold_the_second() -> bool:
            rows = Reservation.objects.select_for_update(no_key=True, skip_locked=True)
            with db.transaction():
                assert list(rows.filter(pk=second))
                begun.set()
                waiting_for_a_lock(1)
                return not list(rows.filter(pk=third))

        def lock() -> None:
            assert begun.wait(30)
            with db.transaction():
                operations.order_lock(order_id=order_id)

        is_locked, answer = together(hold_the_second, lock)
        assert answer is None
        return is_locked

    def test_the_rest_of_an_order_is_locked_by_id(self, buyer: User, three: list[TicketType]) -> None:
        assert self.is_third_locked_first(buyer, three) is False

    def test_control_without_the_order_they_are_locked_as_they_lie_in_the_table(
        self, buyer: User, three: list[TicketType]
    ) -> None:
        with function_with("order_lock", self.IN_ORDER, "FOR NO KEY UPDATE"):
            assert self.is_third_locked_first(buyer, three) is True
