"""A line: the lobby, the draw, and giving tickets in the drawn order."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from importlib import import_module
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError, Invalid
from tests.functions import function_replaced
from tests.threads import together
from tickets import services as tickets
from tickets.line import operations, projections, selectors, services, sql
from tickets.line.models import Entry, Line
from tickets.line.rules import LineClosed
from tickets.line.tests.lines import (
    HOLD,
    check,
    draw_in_order,
    draw_key,
    enter,
    hold_already,
    line_make,
    logged_in,
    open_sale,
    people,
    serve_all,
    states,
)
from tickets.models import Inventory, Reservation, TicketType
from tickets.operations import Basket, Given, order_lock, orders_give, reservations_release
from tickets.rules import SaleEnded
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return the three types of an event whose lobby is open: 5, 3 and 1 tickets."""
    return line_make(ticket_type_make, 5, 3, 1)


def line_of(ticket_type: TicketType) -> Line:
    return Line.objects.get(pk=ticket_type.event_id)


class TestLobby:
    def test_the_lobby_opens_half_an_hour_before_the_sale_and_not_earlier(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        early = ticket_type_make(opens_at=timezone.now() + timedelta(minutes=31))
        early.event.__class__.objects.update(opening="draw")
        services.time_passed(hold=HOLD, now=timezone.now())
        with pytest.raises(LineClosed):
            enter(early, people(1)[0])

        Inventory.objects.update(opens_at=timezone.now() + timedelta(minutes=29))
        assert enter(early, people(1)[0])["state"] == "waiting", (
            "the first entry opens the lobby, if nobody else did"
        )

    @pytest.fixture
    def general(self, ticket_type_make: Callable[..., TicketType]) -> TicketType:
        """Return a type that opens by a draw in ten minutes; an earlier sale of its event has ended."""
        now = timezone.now()
        early = ticket_type_make(opens_at=now - timedelta(days=9), closes_at=now - timedelta(days=2))
        [made] = line_make(partial(ticket_type_make, event=early.event), 5)
        return made

    def _entered(self, general: TicketType) -> list[int | None]:
        """Let three people enter, with the work that a worker does meanwhile; return their places."""
        entered = []
        for buyer_id in people(3):
            services.time_passed(hold=HOLD, now=timezone.now())
            entered.append(enter(general, buyer_id)["place"])
        return entered

    def test_the_draw_waits_for_the_next_opening_after_a_sale_that_has_ended(
        self, general: TicketType
    ) -> None:
        assert self._entered(general) == [None] * 3
        shown = projections.line_shown(event_id=general.event_id, now=timezone.now())
        assert shown["opens_at"] == Inventory.objects.get(pk=general.pk).opens_at
        assert services.draw(event_id=general.event_id) is None
        assert line_of(general).phase == "lobby"

        open_sale([general])
        serve_all(general)
        assert line_of(general).drawn == 3
        check(general.event_id)

    def test_control_by_the_first_opening_of_all_the_list_is_closed_before_anyone_enters(
        self, general: TicketType
    ) -> None:
        migration = import_module("tickets.line.migrations.0024_opening_of_what_still_sells")
        with (
            function_replaced("line_enter", migration.FORMER_LINE_ENTER),
            function_replaced("line_draw", migration.FORMER_LINE_DRAW),
        ):
            assert self._entered(general) == [1, 2, 3]

    def test_an_event_that_opens_directly_has_no_lobby(self, ticket_type: TicketType, buyer: User) -> None:
        with pytest.raises(LineClosed):
            enter(ticket_type, buyer.pk)

    def test_the_seed_is_committed_to_and_cannot_be_changed(self, types: list[TicketType]) -> None:
        line = line_of(types[0])
        assert line.commitment == sha256(line.seed.encode()).hexdigest()

        with pytest.raises(IntegrityError, match="line_commitment_is_of_the_seed"):
            Line.objects.update(seed="0" * 64)

    def test_entering_touches_no_inventory(self, types: list[TicketType], buyer: User) -> None:
        before = list(Inventory.objects.order_by("pk").values())
        with CaptureQueriesContext(
            connection,
        ) as queries:
            enter(types[0], buyer.pk)

        assert list(Inventory.objects.order_by("pk").values()) == before
        assert not any("UPDATE" in each["sql"] and "tickets_inventory" in each["sql"] for each in queries)

    def test_200_entries_of_one_person_at_once_are_one_place(
        self, types: list[TicketType], buyer: User
    ) -> None:
        for _ in range(10):
            together(*[lambda: enter(types[0], buyer.pk)] * 20)

        assert Entry.objects.count() == line_of(types[0]).entered == 1
        check(types[0].event_id)

    def test_a_changed_entry_keeps_its_number_and_one_that_returns_has_it_again(
        self, types: list[TicketType], buyer: User
    ) -> None:
        others = people(2)
        enter(types[0], others[0])
        mine = enter(types[0], buyer.pk)
        enter(types[0], others[1])
        changed = enter(types[1], buyer.pk, 2, second=[(types[0].pk, 1)])
        services.entry_leave(event_id=types[0].event_id, buyer_id=buyer.pk)
        again = enter(types[0], buyer.pk)

        assert mine["number"] == changed["number"] == again["number"] == 2
        assert changed["items"] == [{"ticket_type": types[1].pk, "amount": 2}]
        assert changed["second"] == [{"ticket_type": types[0].pk, "amount": 1}]

    def _left_with_two_numbers(self, types: list[TicketType], buyer: User, guest: User) -> None:
        """Let an account leave with its own number, and then with the number of a guest who logged in to it."""
        event_id = types[0].event_id
        enter(types[0], buyer.pk)
        services.entry_leave(event_id=event_id, buyer_id=buyer.pk)
        enter(types[0], guest.pk)
        services.entries_follow(guest_id=guest.pk, buyer_id=buyer.pk)
        services.entry_leave(event_id=event_id, buyer_id=buyer.pk)

    @pytest.fixture
    def guest(self, user_make: Callable[..., User]) -> User:
        return user_make(is_guest=True, email="", verified_email="ada@example.org")

    def test_an_account_that_left_with_two_numbers_has_the_last_one_again(
        self, types: list[TicketType], buyer: User, guest: User
    ) -> None:
        self._left_with_two_numbers(types, buyer, guest)

        assert enter(types[0], buyer.pk)["number"] == 2
        assert list(Entry.objects.order_by("number").values_list("state", flat=True)) == ["left", "waiting"]
        check(types[0].event_id)

    def test_control_the_former_function_fails(
        self, types: list[TicketType], buyer: User, guest: User
    ) -> None:
        migration = import_module("tickets.line.migrations.0018_entering_by_the_index_of_buyers")
        self._left_with_two_numbers(types, buyer, guest)
        former = function_replaced("line_enter", migration.FORMER_LINE_ENTER)
        with former, pytest.raises(IntegrityError, match="entry_waits_once"):
            enter(types[0], buyer.pk)

    @pytest.mark.parametrize("wrong", ["none", "twice", "foreign"])
    def test_a_wish_that_cannot_be_an_order_is_refused(
        self, wrong: str, types: list[TicketType], buyer: User, ticket_type: TicketType
    ) -> None:
        one = (types[0].pk, 1)
        items = {"none": [], "twice": [one, one], "foreign": [one, (ticket_type.pk, 1)]}[wrong]

        with pytest.raises(Invalid):
            services.entry_make(
                event_id=types[0].event_id, buyer_id=buyer.pk, choices=[items], now=timezone.now()
            )

    def test_claims_past_the_line_are_refused_from_the_lobby_on(
        self, types: list[TicketType], buyer: User
    ) -> None:
        open_sale(types)

        with pytest.raises(DomainError) as refused:
            tickets.reservation_create(
                buyer_id=buyer.pk,
                ticket_type=types[0].pk,
                quantity=1,
                key=None,
                hold=HOLD,
                now=timezone.now(),
            )
        assert refused.value.code == "line_first"


class TestDraw:
    def test_the_draw_waits_for_the_opening(self, types: list[TicketType], buyer: User) -> None:
        enter(types[0], buyer.pk)

        assert services.draw(event_id=types[0].event_id) is None
        assert line_of(types[0]).phase == "lobby"

    def test_places_follow_from_the_published_rule_and_a_second_draw_changes_nothing(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(30):
            enter(types[0], buyer_id)
        open_sale(types)
        event_id = types[0].event_id

        assert [each for each in together(*[lambda: services.draw(event_id=event_id)] * 4) if each] == [30]
        before = list(Entry.objects.order_by("pk").values())
        assert services.draw(event_id=event_id) is None
        assert list(Entry.objects.order_by("pk").values()) == before
        check(event_id)

    def test_a_draw_that_a_crash_interrupted_is_repeated_with_the_same_result(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(20):
            enter(types[0], buyer_id)
        open_sale(types)
        event_id = types[0].event_id
        with pytest.raises(RuntimeError), db.transaction():
            db.rows("SELECT * FROM line_draw(%s)", [event_id])
            cut_short = dict(Entry.objects.values_list("number", "place"))
            raise RuntimeError("killed")
        late = enter(types[0], people(1)[0])

        assert late["number"] == late["place"] == 21, "the list is closed by the clock, not by the draw"
        assert dict(Entry.objects.filter(number__lt=21).values_list("number", "place")) == cut_short

    def test_each_number_has_the_same_chance(self) -> None:
        people_count, draws, deciles = 50, 400, 10
        first_decile = Counter(
            decile
            for draw in range(draws)
            for decile in _deciles_of_the_first(seed=f"{draw:064x}", count=people_count, deciles=deciles)
        )

        expected = draws * people_count / deciles / deciles
        chi_square = sum((first_decile[each] - expected) ** 2 / expected for each in range(deciles))
        assert chi_square < 27.9, "p = 0.001 with nine degrees of freedom"

    def test_the_earliest_win_as_often_as_the_others(self) -> None:
        people_count, draws = 200, 2_000
        wins = sum(_wins_of_the_earliest(seed=f"{draw:064x}", count=people_count) for draw in range(draws))

        expected = draws * EARLIEST * WINNERS / people_count
        assert abs(wins - expected) < expected / 10, "the seeds are fixed, so this is the same each time"
        assert draws * EARLIEST > 1.1 * expected, "in order of number they would win each time"

    def test_control_an_order_by_number_would_be_found(self, types: list[TicketType]) -> None:
        for buyer_id in people(8):
            enter(types[0], buyer_id)
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        Entry.objects.update(place=None)
        for entry in Entry.objects.all():
            Entry.objects.filter(pk=entry.pk).update(place=entry.number)

        with pytest.raises(AssertionError):
            check(types[0].event_id)


EARLIEST = 2  # one per cent of two hundred
WINNERS = 40


def _wins_of_the_earliest(*, seed: str, count: int) -> int:
    """Return how many of the earliest numbers have one of the first places."""
    numbers = sorted(range(1, count + 1), key=lambda number: draw_key(seed, "0" * 64, number))
    return sum(number <= EARLIEST for number in numbers[:WINNERS])


def _deciles_of_the_first(*, seed: str, count: int, deciles: int) -> list[int]:
    """Return the decile of each number that has one of the first tenth of the places."""
    keys = {number: draw_key(seed, "0" * 64, number) for number in range(1, count + 1)}
    first = sorted(keys, key=keys.__getitem__)[: count // deciles]
    return [(number - 1) * deciles // count for number in first]


class TestGiving:
    def test_tickets_are_given_in_the_drawn_order_a_whole_wish_or_the_second_choice(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(8):
            enter(types[0], buyer_id, 2, second=[(types[1].pk, 1), (types[2].pk, 1)])
        open_sale(types)
        serve_all(types[0])

        given = list(Entry.objects.filter(state="given").order_by("place").values_list("place", "order_id"))
        assert [place for place, _ in given] == [1, 2, 3]
        assert [Reservation.objects.filter(lead=order).count() for _, order in given] == [0, 0, 1]
        assert states(types[0].event_id) == ["given"] * 3 + ["waiting"] * 5
        check(types[0].event_id)

    def test_the_line_stops_once_all_is_given_although_many_had_no_turn(
        self, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(services, "BATCH", 3)
        for buyer_id in people(6):
            enter(types[2], buyer_id)
        Inventory.objects.exclude(pk=types[2].pk).update(paused=True)
        open_sale(types)
        serve_all(types[2])

        assert (line_of(types[2]).served, line_of(types[2]).is_standing) == (3, True)
        assert [services.time_passed(hold=HOLD, now=timezone.now()) for _ in range(2)] == [0, 0]

    def test_a_hold_that_lapses_ends_at_the_time_after_its_wait(self, types: list[TicketType]) -> None:
        enter(types[2], people(1)[0])
        open_sale(types)
        serve_all(types[2])
        given = Entry.objects.get()
        before = timezone.now()
        Entry.objects.update(look_by=before)
        order, locked = Reservation.objects.filter(pk=given.order_id), threading.Event()

        def hold() -> datetime:
            with db.transaction():
                assert order.select_for_update(no_key=True)
                locked.set()
                waiting_for_a_lock(1)
                return db.now()

        def lapse() -> None:
            assert locked.wait(60)
            with db.transaction():
                operations.entry_pass_on(entry_id=given.pk, now=before)

        until, _ = together(hold, lapse)

        assert order.get().state == "released"
        assert order.get().ended_at >= until

    def test_a_hold_that_nobody_looked_at_passes_to_the_next(self, types: list[TicketType]) -> None:
        buyers = people(3)
        for buyer_id in buyers:
            enter(types[2], buyer_id)
        open_sale(types)
        serve_all(types[2])
        Entry.objects.filter(state="given").update(look_by=timezone.now())
        serve_all(types[2])

        assert states(types[0].event_id) == ["passed", "given", "waiting"]
        check(types[0].event_id)
        passed = Entry.objects.get(state="passed")
        assert enter(types[2], passed.buyer_id)["place"] == 4, (
            "an entry that was passed by may enter at the end"
        )

    @pytest.mark.parametrize("how", ["looked", "paying"])
    def test_a_hold_that_was_looked_at_or_is_being_paid_stays(
        self, how: str, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[2], buyer.pk)
        open_sale(types)
        serve_all(types[2])
        if how == "looked":
            shown = services.entry_get(event_id=types[0].event_id, buyer_id=buyer.pk, now=timezone.now())
            assert [each["state"] for each in shown["reservations"]] == ["held"]
        else:
            Reservation.objects.update(state="paying", paying_since=timezone.now())
        Entry.objects.update(look_by=timezone.now())
        serve_all(types[2])

        assert states(types[0].event_id) == ["given"]

    def test_later_entries_are_behind_in_order_of_arrival(self, types: list[TicketType]) -> None:
        for buyer_id in people(4):
            enter(types[2], buyer_id)
        open_sale(types)
        late = [enter(types[2], buyer_id) for buyer_id in people(3)]
        serve_all(types[2])

        assert [each["place"] for each in late] == [5, 6, 7]
        assert states(types[0].event_id) == ["given"] + ["waiting"] * 6
        check(types[0].event_id)

    def test_returned_tickets_are_given_to_the_next(self, types: list[TicketType]) -> None:
        for buyer_id in people(3):
            enter(types[2], buyer_id)
        open_sale(types)
        serve_all(types[2])
        with db.transaction():
            held, now = order_lock(order_id=Reservation.objects.get(state="held").pk)
            reservations_release(reservations=held, now=now)
        serve_all(types[2])

        assert states(types[0].event_id) == ["given", "given", "waiting"]
        assert Inventory.objects.get(pk=types[2].pk).line_first

    def test_an_entry_whose_wish_is_sold_out_is_passed_by_and_comes_first_when_tickets_return(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(2):
            enter(types[2], buyer_id)
        open_sale(types)
        serve_all(types[2])
        late = enter(types[0], people(1)[0])
        serve_all(types[0])

        assert late["place"] == 3
        assert states(types[0].event_id) == ["given", "waiting", "given"]

    def test_when_nobody_waits_claims_are_direct_again(self, types: list[TicketType], buyer: User) -> None:
        enter(types[0], people(1)[0])
        open_sale(types)
        serve_all(types[0])

        assert line_of(types[0]).phase == "open"
        assert not Inventory.objects.filter(line_first=True).exists()
        tickets.reservation_create(
            buyer_id=buyer.pk, ticket_type=types[0].pk, quantity=1, key=None, hold=HOLD, now=timezone.now()
        )
        with pytest.raises(LineClosed):
            enter(types[0], people(1)[0])

    def test_the_line_begins_again_after_the_sell_out(self, types: list[TicketType]) -> None:
        enter(types[2], people(1)[0])
        open_sale(types)
        serve_all(types[2])
        assert line_of(types[0]).phase == "open"
        late = enter(types[2], people(1)[0])
        serve_all(types[2])

        assert (late["place"], late["state"]) == (2, "waiting")
        assert line_of(types[0]).phase == "serving"
        assert [each.line_first for each in Inventory.objects.order_by("pk")] == [False, False, True]

    def test_the_line_stands_still_while_the_sale_is_paused(
        self, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[0], buyer.pk)
        open_sale(types)
        event_ids = [types[0].event_id]
        tickets.sale_pause(staff_id=None, event_ids=event_ids, paused=True, now=timezone.now())
        serve_all(types[0])
        assert states(types[0].event_id) == ["waiting"]
        assert line_of(types[0]).served == 0

        tickets.sale_pause(staff_id=None, event_ids=event_ids, paused=False, now=timezone.now())
        serve_all(types[0])
        assert states(types[0].event_id) == ["given"]

    def test_a_person_who_holds_tickets_of_the_type_is_passed_by(
        self, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[0], buyer.pk)
        hold_already(types[0], buyer.pk)
        open_sale(types)
        serve_all(types[0])

        assert states(types[0].event_id) == ["passed"]
        check(types[0].event_id)


class TestALoweredLimit:
    """Staff lower the limit per person after people have entered who wish more."""

    @pytest.mark.parametrize("choice", ["first", "second"])
    def test_who_wished_more_is_given_as_many_as_one_person_may_have(
        self, choice: str, types: list[TicketType], buyer: User
    ) -> None:
        if choice == "first":
            enter(types[0], buyer.pk, 4)
        else:
            enter(types[2], people(1)[0])
            enter(types[2], buyer.pk, second=[(types[0].pk, 4)])
            Inventory.objects.filter(pk=types[2].pk).update(paused=True)
        TicketType.objects.filter(pk=types[0].pk).update(max_per_user=2)
        open_sale(types)
        serve_all(types[0])

        assert Entry.objects.get(buyer=buyer).state == "given"
        assert Reservation.objects.get(buyer=buyer).quantity == 2
        check(types[0].event_id)

    def _served_before(self, types: list[TicketType], buyer: User) -> None:
        """Let the turn come when fewer tickets are left than are wished; then lower the limit to what is left."""
        enter(types[1], buyer.pk, 3)
        Inventory.objects.filter(pk=types[1].pk).update(sold=1)
        open_sale(types)
        serve_all(types[1])
        assert Entry.objects.get().turn_at is not None
        assert states(types[0].event_id) == ["waiting"]
        TicketType.objects.filter(pk=types[1].pk).update(max_per_user=2)
        serve_all(types[1])

    def test_so_is_who_had_a_turn_when_not_enough_was_left(
        self, types: list[TicketType], buyer: User
    ) -> None:
        self._served_before(types, buyer)
        assert states(types[0].event_id) == ["given"]

    def test_control_by_the_wish_as_it_was_entered_nothing_is_given(
        self, types: list[TicketType], buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        capped = "LEAST((item.wish ->> 1)::integer, there.most)"
        assert capped in sql.ENTRIES_NEXT
        former = sql.ENTRIES_NEXT.replace(capped, "(item.wish ->> 1)::integer")
        monkeypatch.setattr(sql, "ENTRIES_NEXT", former)
        self._served_before(types, buyer)
        assert states(types[0].event_id) == ["waiting"]

    def test_control_a_basket_above_the_limit_is_refused(self, types: list[TicketType], buyer: User) -> None:
        TicketType.objects.filter(pk=types[0].pk).update(max_per_user=2)
        open_sale(types)
        basket = Basket(buyer_id=buyer.pk, choices=[[(types[0].pk, 4)]])
        with db.transaction():
            given = orders_give(event_id=types[0].event_id, baskets=[basket], hold=HOLD, now=timezone.now())
        assert given == [Given(order_id=None, own=True)]


class TestAWishThatCannotBeGiven:
    """Somebody waits for more tickets than there are since staff lowered the capacity."""

    def _lowered(self, types: list[TicketType], buyer: User) -> None:
        enter(types[1], buyer.pk, 3)
        Inventory.objects.filter(pk=types[1].pk).update(capacity=2)
        open_sale(types)
        serve_all(types[1])
        assert states(types[0].event_id) == ["waiting"]

    def _raised(self, types: list[TicketType]) -> list[str]:
        Inventory.objects.filter(pk=types[1].pk).update(capacity=3)
        serve_all(types[1])
        return states(types[0].event_id)

    def test_it_keeps_nothing_from_others_and_is_given_when_there_is_enough(
        self, types: list[TicketType], buyer: User
    ) -> None:
        self._lowered(types, buyer)
        assert _by_the_line() == [False, False, False]
        assert line_of(types[0]).is_standing

        assert self._raised(types) == ["given"]
        assert line_of(types[0]).phase == "open"
        check(types[0].event_id)

    @pytest.mark.parametrize("why", ["hidden", "ended"])
    def test_a_part_that_is_not_sold_any_more_frees_the_other_types_of_the_wish(
        self, why: str, types: list[TicketType], buyer: User
    ) -> None:
        services.entry_make(
            event_id=types[0].event_id,
            buyer_id=buyer.pk,
            choices=[[(types[0].pk, 1), (types[1].pk, 1)]],
            now=timezone.now(),
        )
        open_sale(types)
        if why == "hidden":
            TicketType.objects.filter(pk=types[1].pk).update(hidden=True)
        else:
            Inventory.objects.filter(pk=types[1].pk).update(closes_at=timezone.now())
        serve_all(types[0])

        assert states(types[0].event_id) == ["waiting"]
        assert _by_the_line() == [False, False, False]

    def test_what_is_only_gone_for_now_is_kept_for_who_waits(
        self, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[1], buyer.pk, 3)
        Inventory.objects.filter(pk=types[1].pk).update(sold=1)
        open_sale(types)
        serve_all(types[1])

        assert _by_the_line() == [False, True, False]

    def test_control_the_former_statement_kept_it_from_others(
        self, types: list[TicketType], buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql, "TYPES_WISHED", sql.TYPES_WISHED.partition(" WHERE NOT EXISTS")[0])
        self._lowered(types, buyer)
        assert _by_the_line() == [False, True, False]

    def test_control_a_line_that_ended_meanwhile_would_forget_it(
        self, types: list[TicketType], buyer: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as removed:
            removed.setattr(selectors, "is_anyone_waiting", lambda **_: False)
            self._lowered(types, buyer)
        assert self._raised(types) == ["waiting"]


class TestOpeningsOneAfterTheOther:
    """The first type is on sale and nobody waits; another one cannot be reserved."""

    @pytest.fixture
    def opened(self, types: list[TicketType]) -> list[TicketType]:
        """Let all types be open to direct claims, with a line that nobody waits in."""
        enter(types[0], people(1)[0])
        open_sale(types)
        serve_all(types[0])
        assert line_of(types[0]).phase == "open"
        return types

    @pytest.mark.parametrize("why", ["upcoming", "paused"])
    def test_who_wishes_what_opens_later_waits_for_it(
        self, why: str, opened: list[TicketType], buyer: User
    ) -> None:
        later = timezone.now() + timedelta(hours=1)
        closed = {"opens_at": later} if why == "upcoming" else {"paused": True}
        Inventory.objects.filter(pk=opened[1].pk).update(**closed)
        with pytest.raises(LineClosed):
            enter(opened[0], buyer.pk)
        assert enter(opened[1], buyer.pk)["state"] == "waiting"
        serve_all(opened[1])
        assert Entry.objects.get(buyer=buyer).state == "waiting"

        Inventory.objects.filter(pk=opened[1].pk).update(opens_at=timezone.now(), paused=False)
        serve_all(opened[1])
        assert Entry.objects.get(buyer=buyer).state == "given"
        check(opened[0].event_id)

    def test_nobody_waits_for_what_is_not_sold_any_more(self, opened: list[TicketType], buyer: User) -> None:
        past = timezone.now() - timedelta(minutes=1)
        opened_at = past - timedelta(minutes=1)
        Inventory.objects.filter(pk=opened[1].pk).update(opens_at=opened_at, closes_at=past)
        Inventory.objects.filter(pk=opened[2].pk).update(sold=1)
        with pytest.raises(SaleEnded):
            enter(opened[1], buyer.pk)

        assert enter(opened[1], buyer.pk, second=[(opened[2].pk, 1)])["state"] == "waiting", "of the second"


class TestALineThatGivesNothing:
    """Staff hold the line, or its turns are used up, while a sold-out type is open to direct claims."""

    @pytest.mark.parametrize("why", ["held", "no turns"])
    def test_an_entry_for_a_sold_out_type_comes_first_and_no_type_is_opened(
        self, why: str, types: list[TicketType], buyer: User
    ) -> None:
        enter(types[2], people(1)[0])
        open_sale(types)
        serve_all(types[2])
        Inventory.objects.filter(pk=types[1].pk).update(line_first=True)
        assert _by_the_line() == [False, True, False]
        if why == "held":
            Line.objects.update(is_held=True)
        else:
            Line.objects.update(most_per_minute=1, moved_at=timezone.now())
        enter(types[2], people(1)[0])
        serve_all(types[2])
        assert _by_the_line() == [False, True, True]

        held = Reservation.objects.get(state="held")
        tickets.reservation_release(buyer_id=held.buyer_id, reservation_id=held.pk)
        with pytest.raises(DomainError) as refused:
            tickets.reservation_create(
                buyer_id=buyer.pk,
                ticket_type=types[2].pk,
                quantity=1,
                key=None,
                hold=HOLD,
                now=timezone.now(),
            )
        assert refused.value.code == "line_first"


def _by_the_line() -> list[bool]:
    """Return for each type whether the line comes first."""
    return list(Inventory.objects.order_by("pk").values_list("line_first", flat=True))


class TestLeavingWhileServed:
    """The next in line leaves while the giver waits for that entry."""

    def _race(self, types: list[TicketType]) -> None:
        first, *others = people(3)
        for buyer_id in (first, *others):
            enter(types[0], buyer_id)
        open_sale(types)
        draw_in_order(types[0].event_id, [1, 2, 3])
        services.draw(event_id=types[0].event_id)
        is_leaving = threading.Event()

        def leave() -> None:
            with db.transaction():
                Entry.objects.filter(buyer_id=first).update(state="left")
                is_leaving.set()
                waiting_for_a_lock(1)

        def give() -> None:
            assert is_leaving.wait(timeout=60)
            with db.transaction():
                line = operations.line_lock(event_id=types[0].event_id)
                assert line is not None
                operations.line_serve(line=line, most=1, hold=HOLD, now=timezone.now())

        assert together(leave, give) == [None, None]

    def test_entries_behind_one_that_left_keep_their_places(self, types: list[TicketType]) -> None:
        self._race(types)
        assert line_of(types[0]).phase == "serving"
        assert Inventory.objects.get(pk=types[0].pk).line_first

        serve_all(types[0])
        assert states(types[0].event_id) == ["left", "given", "given"]

    def test_control_a_giver_that_skips_them_would_be_noticed(
        self, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as removed:
            removed.setattr(selectors, "is_anyone_behind", lambda **_: False)
            self._race(types)
        serve_all(types[0])
        assert states(types[0].event_id) == ["left", "waiting", "waiting"]


class TestEnteringWhileAGuestLogsIn:
    """An account enters one of the two lines in which its guest waits, at the moment when the guest logs in."""

    def test_the_guest_keeps_the_place_in_the_other_line(
        self, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User], buyer: User
    ) -> None:
        one, other = (line_make(ticket_type_make, 1)[0] for _ in range(2))
        guest = user_make(is_guest=True, email="", verified_email="ada@example.org")
        for ticket_type in (one, other):
            enter(ticket_type, guest.pk)
        enter(one, buyer.pk)
        services.entry_leave(event_id=one.event_id, buyer_id=buyer.pk)
        has_entered = threading.Event()

        def enter_again() -> None:
            with db.transaction():
                Entry.objects.filter(buyer_id=buyer.pk).update(state="waiting")
                has_entered.set()
                waiting_for_a_lock(1)

        def log_in() -> None:
            assert has_entered.wait(timeout=60)
            services.entries_follow(guest_id=guest.pk, buyer_id=buyer.pk)

        assert together(enter_again, log_in) == [None, None]
        of_account = Entry.objects.filter(buyer_id=buyer.pk, state="waiting")
        assert {*of_account.values_list("line_id", flat=True)} == {one.event_id, other.event_id}
        assert Entry.objects.get(buyer_id=guest.pk).state == "left"


class TestActingWhileServed:
    """The giver has given tickets to a person, and commits once a request of that person waits for it."""

    @pytest.fixture
    def person(self, types: list[TicketType], user_make: Callable[..., User]) -> User:
        """Return a guest who is alone in a drawn line."""
        guest = user_make(is_guest=True, email="", verified_email="ada@example.org")
        enter(types[0], guest.pk)
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        return guest

    def _race(self, types: list[TicketType], act: Callable[[], object]) -> None:
        has_given = threading.Event()

        def give() -> None:
            with db.transaction():
                line = operations.line_lock(event_id=types[0].event_id)
                assert line is not None
                assert operations.line_serve(line=line, most=1, hold=HOLD, now=timezone.now()) == 1
                has_given.set()
                waiting_for_a_lock(1)

        def act_then() -> None:
            assert has_given.wait(timeout=60)
            act()

        assert together(give, act_then) == [None, None]

    @pytest.mark.parametrize("is_twice", [False, True])
    def test_tickets_given_to_a_guest_who_logs_in_belong_to_the_account(
        self, is_twice: bool, types: list[TicketType], person: User, buyer: User
    ) -> None:
        if is_twice:
            enter(types[0], buyer.pk)
        self._race(types, lambda: logged_in(person, buyer))

        assert Entry.objects.get(state="given").buyer_id == buyer.pk
        assert not Entry.objects.filter(buyer_id=person.pk).exists()
        check(types[0].event_id)

    @pytest.mark.parametrize("wished", [0, 1], ids=["entering again", "another wish"])
    def test_a_person_who_enters_at_that_moment_is_shown_the_given_tickets(
        self, wished: int, types: list[TicketType], person: User
    ) -> None:
        shown: list[dict[str, Any]] = []
        self._race(types, lambda: shown.append(enter(types[wished], person.pk)))

        assert [(each["state"], len(each["reservations"])) for each in shown] == [("given", 1)]
        assert Entry.objects.get().looked_at is not None, "that was the look"
        assert enter(types[wished], person.pk)["state"] == "waiting", (
            "a person who has looked may enter again"
        )
        check(types[0].event_id)

    def test_control_the_former_function_hides_them(self, types: list[TicketType], person: User) -> None:
        migration = import_module("tickets.line.migrations.0013_given_comes_first")
        shown: list[dict[str, Any]] = []
        with function_replaced("line_enter", migration.FORMER_LINE_ENTER):
            self._race(types, lambda: shown.append(enter(types[1], person.pk)))

        assert [each["state"] for each in shown] == ["waiting"]
        assert states(types[0].event_id) == ["given", "waiting"]


class TestTwoGivers:
    def _race(self, types: list[TicketType]) -> None:
        for buyer_id in people(6):
            enter(types[0], buyer_id)
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        event_id = types[0].event_id
        together(*[lambda: services.serve(event_id=event_id, hold=HOLD, now=timezone.now())] * 4)

    def test_the_lines_lock_keeps_the_order_and_gives_to_none_twice(self, types: list[TicketType]) -> None:
        self._race(types)

        assert states(types[0].event_id) == ["given"] * 5 + ["waiting"]
        assert Reservation.objects.count() == 5
        check(types[0].event_id)

    def test_a_killed_giver_leaves_nothing_and_the_next_one_gives_the_same(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(6):
            enter(types[0], buyer_id)
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        with pytest.raises(RuntimeError), db.transaction():
            line = operations.line_lock(event_id=types[0].event_id)
            operations.line_serve(line=line, most=100, hold=HOLD, now=timezone.now())
            raise RuntimeError("killed")

        assert states(types[0].event_id) == ["waiting"] * 6
        serve_all(types[0])
        assert states(types[0].event_id) == ["given"] * 5 + ["waiting"]
        check(types[0].event_id)
