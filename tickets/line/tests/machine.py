"""A line whose use cases run in any order, for the stateful test of I1 and I10.

Each rule is one use case, on the real database. Time passes by moving the times in the rows back. After each rule
the tables are read: counters, numbers and places by the draw's rule. After each batch nobody with an earlier place
may wait for a ticket that a later place was given.
"""

import itertools
from contextlib import suppress
from datetime import timedelta

from django.core.management import call_command
from django.db.models import F, Q
from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import DomainError
from tickets import services as tickets
from tickets import sold_out_cache
from tickets.line import operations, services
from tickets.line.models import Entry, Line
from tickets.line.tests.lines import HOLD, check, open_sale
from tickets.models import Event, Inventory, Reservation, TicketType

BUYERS, TYPES = 5, 2
_names = itertools.count(1)

buyers = st.integers(0, BUYERS - 1)
wishes = st.dictionaries(st.integers(0, TYPES - 1), st.integers(1, 2), min_size=1)
picks = st.integers(0, 3)


class Killed(Exception):
    """The giver died before its commit."""


class Queue(RuleBasedStateMachine):
    """A few people, a few tickets, givers that may die, and a clock."""

    @initialize(capacities=st.lists(st.integers(1, 4), min_size=TYPES, max_size=TYPES))
    def begin(self, capacities: list[int]) -> None:
        """Begin with an event whose lobby is open."""
        call_command("flush", verbosity=0)
        sold_out_cache.forget()
        date = timezone.now() + timedelta(days=30)
        event = Event.objects.create(name="Drawn", date=date, currency="EUR", opening="draw")
        self.event_id = event.pk
        self.types = []
        for nth, capacity in enumerate(capacities):
            made = TicketType.objects.create(event=event, name=f"T{nth}", price_minor=700, max_per_user=4)
            opens_at = timezone.now() + timedelta(minutes=10)
            Inventory.objects.create(
                ticket_type=made, capacity=capacity, opens_at=opens_at, closes_at=event.date
            )
            self.types.append(made)
        self.users = [self._user() for _ in range(BUYERS)]
        services.lobby_open(event_id=self.event_id, now=timezone.now())

    def _user(self) -> int:
        name = f"queue{next(_names)}"
        return User.objects.create(username=name, email=f"{name}@example.org", password="!").pk

    # What people do ----------------------------------------------------------------------------------------
    @rule(buyer=buyers, first=wishes, second=st.none() | wishes)
    def enter(self, buyer: int, first: dict[int, int], second: dict[int, int] | None = None) -> None:
        """Enter, or change the wish."""
        choices = [
            [(self.types[kind].pk, many) for kind, many in wish.items()] for wish in (first, second) if wish
        ]
        with suppress(DomainError):
            services.entry_make(
                event_id=self.event_id, buyer_id=self.users[buyer], choices=choices, now=timezone.now()
            )

    @rule(buyer=buyers)
    def leave(self, buyer: int) -> None:
        with suppress(DomainError):
            services.entry_leave(event_id=self.event_id, buyer_id=self.users[buyer])

    @rule(buyer=buyers)
    def look(self, buyer: int) -> None:
        with suppress(DomainError):
            services.entry_get(event_id=self.event_id, buyer_id=self.users[buyer], now=timezone.now())

    @rule(pick=picks)
    def bring_back(self, pick: int) -> None:
        """End a hold: its tickets come back."""
        held = list(Reservation.objects.filter(state="held").order_by("pk"))
        if held:
            chosen = held[pick % len(held)]
            tickets.reservation_release(buyer_id=chosen.buyer_id, reservation_id=chosen.pk)

    @rule(buyer=buyers, kind=st.integers(0, TYPES - 1))
    def claim(self, buyer: int, kind: int) -> None:
        """Claim directly: the row itself refuses the claim while people wait for the type."""
        sold_out_cache.forget()
        with suppress(DomainError):
            tickets.reservation_create(
                buyer_id=self.users[buyer],
                ticket_type=self.types[kind].pk,
                quantity=1,
                key=None,
                hold=HOLD,
                now=timezone.now(),
            )
            assert not Inventory.objects.get(pk=self.types[kind].pk).line_first

    # What workers and the clock do -------------------------------------------------------------------------
    @rule()
    def draw(self) -> None:
        open_sale(self.types)
        services.draw(event_id=self.event_id)

    @rule(most=st.sampled_from([1, 2, 500]))
    def give(self, most: int) -> None:
        """Give a batch; check that nobody before a new buyer still waits for the same tickets."""
        before = set(Entry.objects.filter(state="given").values_list("pk", flat=True))
        with db.transaction():
            self._serve(most)
        self._insist_on_the_order(before)

    @rule(most=st.sampled_from([1, 500]))
    def kill(self, most: int) -> None:
        """Let a giver die before its commit: nothing of its batch is left."""
        before = self._rows()
        with suppress(Killed), db.transaction():
            self._serve(most)
            raise Killed
        assert self._rows() == before

    @rule()
    def tick(self) -> None:
        """Do the work that a worker does twice a second."""
        services.time_passed(hold=HOLD, now=timezone.now())

    @rule(minutes=st.sampled_from([1, 4, 16]))
    def time_passes(self, minutes: int) -> None:
        """Let the times to look and the holds become due."""
        ago = timedelta(minutes=minutes)
        Entry.objects.filter(look_by__isnull=False).update(look_by=F("look_by") - ago)
        Reservation.objects.update(created=F("created") - ago, expires_at=F("expires_at") - ago)
        tickets.due_holds_sweep()

    # What must hold ----------------------------------------------------------------------------------------
    @invariant()
    def counters_and_places_are_right(self) -> None:
        if hasattr(self, "users"):
            check(self.event_id)

    def teardown(self) -> None:
        """Let everything settle: people who still wait then wish tickets that are sold out."""
        if not hasattr(self, "users"):
            return
        self.draw()
        while services.time_passed(hold=HOLD, now=timezone.now()):
            check(self.event_id)
        there = self._there()
        for entry in Entry.objects.filter(state="waiting"):
            assert not any(self._fits(wish, there) for wish in entry.choices), f"{entry} was forgotten"

    # Helpers -----------------------------------------------------------------------------------------------
    def _serve(self, most: int) -> None:
        line = operations.line_lock(event_id=self.event_id)
        if line is not None and line.phase != "lobby":
            operations.line_serve(line=line, most=most, hold=HOLD, now=timezone.now())

    def _there(self) -> dict[int, int]:
        stock = Inventory.objects.filter(ticket_type__event_id=self.event_id)
        return {each.pk: each.capacity - each.held - each.sold for each in stock}

    def _fits(self, wish: list[list[int]], there: dict[int, int]) -> bool:
        return all(there[ticket_type] >= quantity for ticket_type, quantity in wish)

    def _insist_on_the_order(self, before: set[int]) -> None:
        """Check that nobody who still waits has a place before that of a person who was given the same tickets."""
        given = Entry.objects.filter(state="given").exclude(pk__in=before).order_by("-place")
        there = self._there()
        for entry in given:
            for each in Reservation.objects.filter(Q(pk=entry.order_id) | Q(lead_id=entry.order_id)):
                there[each.ticket_type_id] += each.quantity
            ahead = Entry.objects.filter(line_id=self.event_id, state="waiting", place__lt=entry.place)
            for other in ahead:
                assert not any(self._fits(wish, there) for wish in other.choices), f"{other} was passed over"

    def _rows(self) -> list[object]:
        """Return all rows that a giver may change."""
        return [
            list(model._default_manager.order_by("pk").values())
            for model in (Line, Entry, Inventory, Reservation)
        ]
