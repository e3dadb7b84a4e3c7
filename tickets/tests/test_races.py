"""Races for the last tickets: the number of winners, the errors of the others, and the guards."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError
from tests.threads import together
from tickets import services, sql
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import (
    Witness,
    claim,
    done_or_waiting_for_a_lock,
    outcomes,
    waiting_for_a_lock,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def crowd(user_make: Callable[..., User]) -> list[int]:
    """Return the ids of 200 users."""
    users = [User(username=f"crowd{n}", email=f"crowd{n}@example.org") for n in range(200)]
    return [user.pk for user in User.objects.bulk_create(users)]


@pytest.fixture
def without_guards() -> Iterator[None]:
    """Remove the capacity from the claim's condition, and the CHECK behind it."""
    guarded = sql.text("reservation_claim")
    unguarded = guarded.replace("AND i.held::bigint + i.sold + p_quantity <= i.capacity", "")
    assert unguarded != guarded
    with connection.cursor() as cursor:
        cursor.execute(unguarded)
        cursor.execute("ALTER TABLE tickets_inventory DROP CONSTRAINT inventory_never_oversold")
    yield
    with connection.cursor() as cursor:
        cursor.execute(guarded)
        cursor.execute("UPDATE tickets_inventory SET held = 0, sold = 0")
        cursor.execute(
            "ALTER TABLE tickets_inventory ADD CONSTRAINT inventory_never_oversold"
            " CHECK (capacity >= held + sold)"
        )


def rush(crowd: list[int], ticket_type: TicketType) -> tuple[Counter[str], Witness]:
    with Witness(ticket_type) as witness:
        results = together(*[lambda pk=pk: claim(pk, ticket_type) for pk in crowd])
    return outcomes(results), witness


class TestTwoHundredWantFiftyTickets:
    def test_fifty_win_and_the_others_are_refused(
        self, crowd: list[int], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=50)

        outcome, witness = rush(crowd, ticket_type)

        assert outcome == {"won": 50, "all_held": 150}
        assert Inventory.objects.get(pk=ticket_type.pk).held == 50
        assert Reservation.objects.filter(ticket_type=ticket_type, state="held").count() == 50
        assert witness.readings > 0
        assert witness.broken == []

    def test_control_without_the_guards_the_type_is_oversold(
        self, crowd: list[int], ticket_type_make: Callable[..., TicketType], without_guards: None
    ) -> None:
        ticket_type = ticket_type_make(capacity=50)

        outcome, witness = rush(crowd, ticket_type)

        assert outcome["won"] > 50
        assert witness.broken != []

    def test_the_check_alone_still_sells_exactly_fifty(
        self, crowd: list[int], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=50)
        guarded = sql.text("reservation_claim")
        with connection.cursor() as cursor:
            cursor.execute(guarded.replace("AND i.held::bigint + i.sold + p_quantity <= i.capacity", ""))
        try:
            outcome, witness = rush(crowd, ticket_type)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(guarded)

        assert outcome == {"won": 50, "all_held": 150}
        assert witness.broken == []


class TestOneBuyerTwice:
    def test_a_double_click_holds_once(self, buyer: User, ticket_type: TicketType) -> None:
        results = together(*[lambda: claim(buyer.pk, ticket_type)] * 8)

        assert outcomes(results) == {"won": 1, "already_reserved": 7}
        assert Inventory.objects.get(pk=ticket_type.pk).held == 1

    def test_a_double_click_with_a_key_is_one_reservation_for_all(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        results = together(*[lambda: claim(buyer.pk, ticket_type, 2, key="click")] * 8)

        assert outcomes(results) == {"won": 8}
        assert (
            len({result.reservation["id"] for result in results if isinstance(result, services.Reserved)})
            == 1
        )
        assert Inventory.objects.get(pk=ticket_type.pk).held == 2

    def test_a_key_used_for_two_types_at_once_makes_one_reservation(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_types = [ticket_type_make(), ticket_type_make()]

        results = together(
            *[
                lambda ticket_type=ticket_type: claim(buyer.pk, ticket_type, key="one")
                for ticket_type in ticket_types
            ]
        )

        assert outcomes(results) == {"won": 1, "idempotency_key_reused": 1}
        assert Reservation.objects.count() == 1
        assert sum(Inventory.objects.values_list("held", flat=True)) == 1

    def test_the_limit_holds_across_reservations(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(max_per_user=3, sold=2)
        now = timezone.now()
        times = {"created": now, "expires_at": now, "validated_at": now}
        Reservation.objects.create(
            buyer=buyer,
            ticket_type=ticket_type,
            quantity=2,
            unit_price_minor=1,
            currency="EUR",
            state="validated",
            **times,
        )

        results = together(*[lambda: claim(buyer.pk, ticket_type, 2)] * 4)

        assert outcomes(results) == {"over_limit": 4}


class TestPause:
    @pytest.mark.parametrize(("flag", "code"), [("paused", "sale_paused"), ("line_first", "line_first")])
    def test_a_pause_is_obeyed_by_claims_that_were_waiting(
        self, crowd: list[int], ticket_type: TicketType, flag: str, code: str
    ) -> None:
        buyers = crowd[:8]

        locked = threading.Event()

        def pause() -> None:
            with db.transaction():
                db.rows(
                    "SELECT 1 FROM tickets_inventory WHERE ticket_type_id = %s FOR UPDATE", [ticket_type.pk]
                )
                locked.set()
                waiting_for_a_lock(len(buyers))
                Inventory.objects.filter(pk=ticket_type.pk).update(**{flag: True})

        def late_claim(buyer_id: int) -> services.Reserved:
            locked.wait(30)
            return claim(buyer_id, ticket_type)

        results = together(pause, *[lambda pk=pk: late_claim(pk) for pk in buyers])

        assert outcomes(results[1:]) == {code: 8}
        assert Inventory.objects.get(pk=ticket_type.pk).held == 0

    def test_the_service_pauses_and_resumes(self, buyer: User, ticket_type: TicketType) -> None:
        assert (
            services.sale_pause(
                staff_id=None, event_ids=[ticket_type.event_id], paused=True, now=timezone.now()
            )
            == 1
        )
        with pytest.raises(DomainError, match="paused"):
            claim(buyer.pk, ticket_type)

        assert (
            services.sale_pause(
                staff_id=None, event_ids=[ticket_type.event_id], paused=False, now=timezone.now()
            )
            == 1
        )
        assert claim(buyer.pk, ticket_type).reservation["state"] == "held"


class TestReleasing:
    def test_one_of_many_releases_gives_the_tickets_back(self, buyer: User, ticket_type: TicketType) -> None:
        mine = claim(buyer.pk, ticket_type, 3).reservation["id"]

        def release() -> str:
            services.reservation_release(buyer_id=buyer.pk, reservation_id=mine)
            return "released"

        results = together(*[release] * 6)

        assert Counter(getattr(r, "code", r) for r in results) == {"released": 1, "reservation_ended": 5}
        assert Inventory.objects.get(pk=ticket_type.pk).held == 0

    def claim_beside_release(self, buyer: User, ticket_type: TicketType) -> list[object]:
        """Claim while a release of the same buyer has changed its reservation, but not the inventory yet."""
        mine = claim(buyer.pk, ticket_type).reservation["id"]
        half_released = threading.Event()
        claimed = threading.Event()

        def release() -> None:
            with db.transaction():
                Reservation.objects.filter(pk=mine).update(state="released", ended_at=timezone.now())
                half_released.set()
                done_or_waiting_for_a_lock(claimed.is_set)
                Inventory.objects.filter(pk=ticket_type.pk).update(held=0)

        def beside() -> services.Reserved:
            half_released.wait(30)
            try:
                return claim(buyer.pk, ticket_type)
            finally:
                claimed.set()

        return together(release, beside)

    def test_a_claim_beside_ones_own_release_is_refused_at_once(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        assert outcomes(self.claim_beside_release(buyer, ticket_type)) == {
            "NoneType": 1,
            "already_reserved": 1,
        }

    def test_control_without_the_check_under_the_lock_they_deadlock(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        guarded = sql.text("reservation_claim")
        unguarded = guarded.replace("IF own.live THEN", "IF false THEN")
        assert unguarded != guarded
        with connection.cursor() as cursor:
            cursor.execute(unguarded)
        try:
            results = self.claim_beside_release(buyer, ticket_type)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(guarded)

        assert any("deadlock" in str(result) for result in results)
