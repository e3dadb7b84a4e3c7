"""Holds that end: released by the sweeper, or by the claim that needs them."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db
from tests.threads import together
from tickets import projections, selectors, services, sold_out_cache, sql
from tickets.models import Inventory, Reservation, TicketType
from tickets.rules import AllHeld, NotEnough
from tickets.tests.reserving import claim, end, outcomes

pytestmark = pytest.mark.django_db(transaction=True)


def held(ticket_type: TicketType) -> int:
    return Inventory.objects.get(pk=ticket_type.pk).held


def held_by_thousands(buyer: User) -> None:
    """Let 5,000 more buyers hold the same as this buyer, and let PostgreSQL analyze this, until a rollback."""
    connection.cursor().execute(
        """
        INSERT INTO tickets_reservation (buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state,
                                         created, expires_at, version)
        SELECT -number, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at, version
          FROM tickets_reservation, generate_series(1, 5000) AS number WHERE buyer_id = %s
        """,
        [buyer.pk],
    )
    connection.cursor().execute("ANALYZE tickets_reservation")


class Stopwatch:
    """A monotonic clock that only the test moves."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    watch = Stopwatch()
    monkeypatch.setattr(sold_out_cache, "time", watch)
    return watch


class TestSweeping:
    def test_the_sweep_ends_due_holds_and_nothing_else(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        past, future, paying = user_make(), user_make(), user_make()
        ticket_types = [ticket_type_make(), ticket_type_make()]
        for ticket_type in ticket_types:
            for user in (past, future, paying):
                claim(user.pk, ticket_type, 2)
        end(past, paying)
        Reservation.objects.filter(buyer=paying).update(state="paying")

        assert services.due_holds_sweep() == 2
        assert services.due_holds_sweep() == 0

        states = dict(Reservation.objects.values_list("buyer__username", "state"))
        assert states == {past.username: "expired", future.username: "held", paying.username: "paying"}
        assert [held(ticket_type) for ticket_type in ticket_types] == [4, 4]
        ended = Reservation.objects.filter(buyer=past)
        assert all(r.ended_at is not None and r.version == 2 for r in ended)

    def test_sweepers_beside_each_other_free_each_ticket_once(
        self, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        users = [user_make() for _ in range(30)]
        for user in users:
            claim(user.pk, ticket_type)
        end(*users)

        counts = together(*[services.due_holds_sweep] * 4)

        assert sum(counts) == 30
        assert held(ticket_type) == 0

    def test_locked_rows_are_passed_over(
        self, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        locked, free = user_make(), user_make()
        for user in (locked, free):
            claim(user.pk, ticket_type)
        end(locked, free)

        def sweep() -> int:
            return services.due_holds_sweep()

        with db.transaction():
            list(Reservation.objects.select_for_update().filter(buyer=locked))
            assert together(sweep) == [1]
        assert services.due_holds_sweep() == 1
        assert held(ticket_type) == 0

    def _with_a_type_that_fails(self, buyer: User, types: list[TicketType]) -> None:
        for ticket_type in types:
            claim(buyer.pk, ticket_type, 1)
        Reservation.objects.update(expires_at=timezone.now())
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE tickets_inventory ADD CONSTRAINT one_fails"
                f" CHECK (ticket_type_id <> {types[0].pk} OR held > 0) NOT VALID"
            )
        try:
            services.due_holds_sweep()
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE tickets_inventory DROP CONSTRAINT one_fails")

    @pytest.fixture
    def types(self, ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
        return [ticket_type_make(), ticket_type_make()]

    def test_a_type_that_fails_is_logged_and_the_others_are_freed(
        self, buyer: User, types: list[TicketType], caplog: pytest.LogCaptureFixture
    ) -> None:
        self._with_a_type_that_fails(buyer, types)
        assert [held(each) for each in types] == [1, 0]
        assert f"expiring the holds of ticket type {types[0].pk}" in caplog.text

    def test_control_without_the_guard_a_failing_type_ends_the_sweep(
        self, buyer: User, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(db, "errors_logged", lambda *_: nullcontext())
        with pytest.raises(IntegrityError):
            self._with_a_type_that_fails(buyer, types)
        assert [held(each) for each in types] == [1, 1]

    def test_the_announced_state_is_that_of_the_inventory(
        self, user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        past, future = user_make(), user_make()
        for user in (past, future):
            claim(user.pk, ticket_type, 2)
        end(past)
        announced: list[dict[str, Any]] = []
        monkeypatch.setattr(projections, "announce", lambda **told: announced.append(told))

        services.due_holds_sweep()

        event = ticket_type.event_id
        figures = selectors.figures_of_events([event])[event][ticket_type.pk]
        assert (figures.held, figures.version) == (2, 4)
        assert [(told["figures"], told["buyers"]) for told in announced] == [([(event, figures)], [past.pk])]

    @pytest.mark.parametrize("look", [sql.TYPES_WITH_DUE_HOLDS, sql.CLAIM_FACTS])
    def test_a_look_for_due_holds_reads_no_live_ones(
        self, look: str, buyer: User, ticket_type: TicketType
    ) -> None:
        claim(buyer.pk, ticket_type)
        values: Any = (
            [10] if look == sql.TYPES_WITH_DUE_HOLDS else {"buyer": 1, "ticket_type": ticket_type.pk}
        )
        with db.transaction():
            held_by_thousands(buyer)
            plan = "\n".join(row["QUERY PLAN"] for row in db.rows(f"EXPLAIN {look}", values))
            transaction.set_rollback(True)
        found_by = [line for line in plan.splitlines() if "Index Cond" in line and "expires_at <=" in line]
        assert found_by, plan

    def test_one_sweeper_works_and_the_next_waits_beside_it(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        claim(buyer.pk, ticket_type)
        end(buyer)

        with db.advisory_lock("tickets.sweep") as lock:
            assert lock.is_mine()
            [looked] = together(lambda: services.sweep(instants=[timezone.now()]))
            assert looked is None
            assert held(ticket_type) == 1
        services.sweep(instants=[timezone.now()])
        assert held(ticket_type) == 0


class TestAGlance:
    """The sweeper's look four times a second, which decides whether it reads more."""

    def seen(self, now: datetime | None = None) -> list[str]:
        now = now or timezone.now()
        span = {"after": now - timedelta(seconds=1), "until": now}
        return [name for name, said in selectors.sweep_glance(thresholds=[30, 60], **span).items() if said]

    def test_a_look_finds_nothing_in_a_live_hold(self, buyer: User, ticket_type: TicketType) -> None:
        claim(buyer.pk, ticket_type)
        assert self.seen() == []

    def test_a_look_finds_a_due_hold(self, buyer: User, ticket_type: TicketType) -> None:
        claim(buyer.pk, ticket_type)
        end(buyer)
        assert self.seen() == ["due"]

    @pytest.mark.parametrize("seconds", [30, 60])
    def test_a_look_finds_a_hold_near_its_end(
        self, seconds: int, buyer: User, ticket_type: TicketType
    ) -> None:
        claim(buyer.pk, ticket_type)
        now = timezone.now()
        Reservation.objects.update(expires_at=now + timedelta(seconds=seconds - 0.5))
        assert self.seen(now) == ["expiring"]

    @pytest.mark.parametrize("boundary", ["opens_at", "closes_at"])
    def test_a_look_finds_a_sale_that_opens_or_closes(
        self, boundary: str, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        announced: list[dict[str, Any]] = []
        monkeypatch.setattr(projections, "announce", lambda **told: announced.append(told))
        now = timezone.now()
        Inventory.objects.update(**{boundary: now - timedelta(seconds=0.5)})
        assert self.seen(now) == ["crossed"]
        services.sweep(instants=[now])
        assert [told["events"] for told in announced] == [[ticket_type.event_id]]


class TestClaimingWhatIsDue:
    def test_a_claim_takes_the_tickets_of_a_due_hold_without_a_sweeper(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first, second = user_make(), user_make()
        ticket_type = ticket_type_make(capacity=1)
        claim(first.pk, ticket_type)
        end(first)

        assert claim(second.pk, ticket_type).reservation["state"] == "held"
        assert held(ticket_type) == 1
        assert Reservation.objects.get(buyer=first).state == "expired"

    def test_a_former_holder_takes_the_tickets_of_the_own_due_hold(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=1, max_per_user=1)
        claim(buyer.pk, ticket_type)
        end(buyer)

        assert claim(buyer.pk, ticket_type).reservation["state"] == "held"
        assert list(Reservation.objects.order_by("id").values_list("state", flat=True)) == ["expired", "held"]

    def test_a_claim_takes_them_once_a_cached_refusal_is_over(
        self,
        user_make: Callable[..., User],
        ticket_type_make: Callable[..., TicketType],
        stopwatch: Stopwatch,
    ) -> None:
        first, second = user_make(), user_make()
        ticket_type = ticket_type_make(capacity=1)
        claim(first.pk, ticket_type)
        with pytest.raises(AllHeld):
            claim(second.pk, ticket_type)
        end(first)

        with pytest.raises(AllHeld):
            claim(second.pk, ticket_type)
        stopwatch.seconds += sold_out_cache.CACHED_FOR.total_seconds()
        assert claim(second.pk, ticket_type).reservation["state"] == "held"

    def test_many_claims_on_due_holds_share_them_exactly(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=5)
        old = [user_make() for _ in range(5)]
        new = [user_make() for _ in range(20)]
        for user in old:
            claim(user.pk, ticket_type)
        end(*old)

        results = together(*[lambda pk=user.pk: claim(pk, ticket_type) for user in new])

        counted = outcomes(results)
        assert counted["won"] == 5
        assert counted["won"] + counted["all_held"] + counted["busy"] == 20
        assert held(ticket_type) == 5


class TestTheSoldOutCache:
    def test_the_cache_answers_without_asking_postgresql(
        self,
        buyer: User,
        ticket_type_make: Callable[..., TicketType],
        django_assert_num_queries: Callable[..., object],
    ) -> None:
        ticket_type = ticket_type_make(capacity=1, sold=1)
        assert outcomes([refused(buyer, ticket_type)]) == {"sold_out": 1}

        with django_assert_num_queries(0):  # type: ignore[attr-defined]
            assert outcomes([refused(buyer, ticket_type)]) == {"sold_out": 1}

    def test_a_request_with_a_key_asks_postgresql(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=1, sold=1)
        refused(buyer, ticket_type)
        Inventory.objects.filter(pk=ticket_type.pk).update(sold=0)

        assert claim(buyer.pk, ticket_type, key="k").reservation["state"] == "held"

    @pytest.mark.parametrize("wrong_by", [timedelta(seconds=-30), timedelta(), timedelta(seconds=30)])
    def test_a_wrong_clock_keeps_no_answer_longer(
        self,
        wrong_by: timedelta,
        buyer: User,
        ticket_type_make: Callable[..., TicketType],
        stopwatch: Stopwatch,
    ) -> None:
        ticket_type = ticket_type_make(capacity=1, sold=1)
        with time_machine.travel(timezone.now() + wrong_by):
            refused(buyer, ticket_type)
            Inventory.objects.filter(pk=ticket_type.pk).update(sold=0)

            refused(buyer, ticket_type)
            stopwatch.seconds += sold_out_cache.CACHED_FOR.total_seconds()
            assert claim(buyer.pk, ticket_type).reservation["state"] == "held"

    def test_a_cached_answer_ends_with_the_next_hold(self) -> None:
        now = timezone.now()
        soon = AllHeld(next_release_at=now + timedelta(milliseconds=100))
        assert sold_out_cache.cached_for(soon, now=now) == timedelta(milliseconds=100)
        late = AllHeld(next_release_at=now + timedelta(minutes=10))
        assert sold_out_cache.cached_for(late, now=now) == sold_out_cache.CACHED_FOR
        assert sold_out_cache.cached_for(NotEnough(available=1), now=now) is None


def refused(user: User, ticket_type: TicketType) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011  (which one is what the test asserts)
        claim(user.pk, ticket_type)
    return raised.value


def test_a_refusal_writes_nothing(buyer: User, ticket_type_make: Callable[..., TicketType]) -> None:
    ticket_type = ticket_type_make(capacity=1, sold=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL, xmin FROM tickets_inventory")
        before = cursor.fetchall()
    refused(buyer, ticket_type)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL, xmin FROM tickets_inventory")
        assert cursor.fetchall() == before
