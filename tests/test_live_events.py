"""The live streams of `tickets` beside those of single events: the next events, and advice about ending holds."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import ProtectedError
from django.test import Client
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel import db, redis_client
from realtime import publish, store, streams
from realtime.worker import flush
from tickets import event_operations, event_selectors, projections, selectors, services
from tickets.event_files import EventToLoad, TypeToLoad
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.rules import EXPIRING_SECONDS
from tickets.tests.forms import Form

pytestmark = pytest.mark.django_db(transaction=True)


def shown() -> list[dict[str, Any]]:
    return projections.project_next_events((), now=timezone.now())[streams.ALONE]


class TestNextEvents:
    def test_events_come_soonest_first_with_the_tickets_left_of_types_on_sale(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        late = ticket_type_make(capacity=7)
        ticket_type_make(capacity=3, event=late.event, paused=True)
        soon = Event.objects.create(name="Soon", date=timezone.now() + timedelta(days=1))
        Event.objects.create(name="Past", date=timezone.now() - timedelta(hours=1))
        Inventory.objects.filter(pk=late.pk).update(held=2, sold=1)

        assert [(e["id"], e["sale"], e["available"]) for e in shown()] == [
            (soon.pk, "upcoming", 0),
            (late.event_id, "open", 4),
        ]
        assert set(shown()[0]) == {"id", "name", "date", "sale", "available"}

    def test_an_event_that_has_begun_stays_until_the_sale_of_its_last_type_ends(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        now = timezone.now()
        begun, ended, goes_on = now - timedelta(hours=2), now - timedelta(hours=1), now + timedelta(days=2)
        festival = ticket_type_make(capacity=9, closes_at=goes_on)
        ticket_type_make(event=festival.event, closes_at=ended)
        concert, for_staff, cancelled = (ticket_type_make(closes_at=at) for at in (ended, goes_on, goes_on))
        coming = ticket_type_make()
        Event.objects.exclude(pk=coming.event_id).update(date=begun)
        TicketType.objects.filter(pk=for_staff.pk).update(hidden=True)
        Inventory.objects.filter(pk=cancelled.pk).update(paused=True)
        Event.objects.filter(pk=cancelled.event_id).update(status="cancelled")

        def listed(at: datetime) -> list[tuple[int, str, int]]:
            state = projections.project_next_events((), now=at)[streams.ALONE]
            return [(each["id"], each["sale"], each["available"]) for each in state]

        assert (concert.event_id, "open", 50) in listed(ended - timedelta(seconds=1))
        assert listed(now) == [(festival.event_id, "open", 9), (coming.event_id, "open", 50)]
        assert listed(goes_on) == [(coming.event_id, "open", 50)]

    def test_the_list_takes_three_queries_and_has_no_more_events_than_asked(
        self, ticket_type_make: Callable[..., TicketType], django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        for _ in range(5):
            ticket_type_make()
        with django_assert_num_queries(3):
            listed = event_selectors.events_for_buyers(now=timezone.now())
            assert len(event_selectors.events_next(listed, most=3)) == 3

    def test_every_sale_marks_the_list_and_a_burst_is_read_once_in_its_interval(
        self, ticket_type: TicketType, user_make: Callable[..., User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        often = replace(streams.get(streams.Kind.EVENTS), interval=1000.0)
        monkeypatch.setitem(streams._definitions, streams.Kind.EVENTS, often)
        reads: list[object] = []
        really = event_selectors.events_next
        monkeypatch.setattr(
            event_selectors,
            "events_next",
            lambda *listed, **given: reads.append(1) or really(*listed, **given),
        )
        for _ in range(5):
            claim(user_make(), ticket_type)
            flush.flush()
        assert len(reads) == 1
        assert [mark.stream for mark in store.marks_take(limit=9)] == ["events"], "the last is not forgotten"


@pytest.fixture
def staff(client: Client, user_make: Callable[..., User]) -> Client:
    user = user_make()
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(pk=user.pk))
    return client


CHANGED = {
    **{f"type{n}_capacity": "7" for n in range(5)},
    "type1_price": "9.00",
    "type2_hidden": "on",
    "type3_DELETE": "on",
}


def saved_in_the_admin(staff: Client, event: Event) -> int:
    return int(Form(staff, f"/admin/tickets/event/{event.pk}/change/").send(**CHANGED).status_code)


def saved_in_the_box_office(staff: Client, event: Event) -> int:
    return int(Form(staff, f"/office/events/{event.pk}/edit/").send(**CHANGED).status_code)


def copied(staff: Client, event: Event) -> int:
    return int(staff.post(f"/office/events/{event.pk}/copy/").status_code)


def added_by_a_file(staff: Client, event: Event) -> int:
    names = ("Stalls", "Balcony", "Box")
    types = [
        TypeToLoad(
            line=1, name=name, price_minor=0, capacity=5, max_per_user=5, opens_at=None, closes_at=None
        )
        for name in names
    ]
    loaded = EventToLoad(
        line=1, name="Gala", date=event.date, time_zone="UTC", currency="EUR", description="", types=types
    )
    services.events_load(events=[loaded], now=timezone.now())
    return 302


@pytest.mark.parametrize("way", [saved_in_the_admin, saved_in_the_box_office, copied, added_by_a_file])
def test_an_edit_of_many_ticket_types_is_announced_once(
    staff: Client, ticket_type_make: Callable[..., TicketType], way: Callable[[Client, Event], int]
) -> None:
    """Count the marks: with each, the event is read in PostgreSQL and written to Redis."""
    event = ticket_type_make().event
    for _ in range(4):
        ticket_type_make(event=event)
    redis = redis_client.connection()
    redis.delete(store.MARK_NUMBER)

    assert way(staff, event) == 302

    assert redis.get(store.MARK_NUMBER) == "1"


class TestDeletion:
    """Staff delete events and ticket types without reservations, in the admin."""

    def flushed(self) -> dict[str, Any]:
        """Flush the marked streams; return them with their state, None for one that does not exist."""
        names = [mark.stream for mark in store.marks_take(limit=9)]
        flush.flush()
        redis = redis_client.connection()
        kept = {
            name: store.frame_of(name, redis.hmget(store.frame_key(name), store.FRAME_FIELDS))
            for name in names
        }
        return {
            name: json.loads(frame.data) if frame and frame.data else None for name, frame in kept.items()
        }

    def delete_on_its_page(self, staff: Client, event_id: int) -> None:
        assert staff.post(f"/admin/tickets/event/{event_id}/delete/", {"post": "yes"}).status_code == 302

    def delete_in_the_list(self, staff: Client, event_id: int) -> None:
        form = {"action": "delete_selected", "_selected_action": [event_id], "post": "yes"}
        assert staff.post("/admin/tickets/event/", form).status_code == 302

    @pytest.mark.parametrize("way", [delete_on_its_page, delete_in_the_list])
    def test_a_deleted_event_ends_its_stream_and_leaves_the_list_and_the_api(
        self,
        way: Callable[["TestDeletion", Client, int], None],
        staff: Client,
        ticket_type: TicketType,
        ticket_type_make: Callable[..., TicketType],
    ) -> None:
        other = ticket_type_make().event_id
        event_id = ticket_type.event_id
        assert staff.get(f"/event/events/{event_id}/").status_code == 200, "and it is kept for others"
        flush.flush()
        way(self, staff, event_id)
        states = self.flushed()
        assert states[f"event.{event_id}"] is None
        assert [event["id"] for event in states["events"]] == [other]
        assert staff.get(f"/event/events/{event_id}/").status_code == 404

    def test_an_event_with_reservations_stays_and_nothing_is_marked(
        self, staff: Client, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        claim(user_make(), ticket_type)
        flush.flush()
        with pytest.raises(ProtectedError), db.transaction():
            event_operations.event_delete(event=ticket_type.event, now=timezone.now())
        assert f"event.{ticket_type.event_id}" not in self.flushed()

    def test_a_deleted_ticket_type_leaves_the_events_stream(
        self, staff: Client, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        stays = ticket_type_make(event=ticket_type.event)
        with db.transaction():
            event_operations.ticket_type_delete(ticket_type=ticket_type)
            event_operations.event_changed(event_id=stays.event_id, now=timezone.now())
        state = self.flushed()[f"event.{stays.event_id}"]
        assert [each["id"] for each in state["tickets"]] == [stays.pk]


def claim(user: User, ticket_type: TicketType, *, minutes: float = 15) -> int:
    made = services.reservation_create(
        buyer_id=user.pk,
        ticket_type=ticket_type.pk,
        quantity=1,
        key=None,
        hold=timedelta(minutes=minutes),
        now=timezone.now(),
    )
    return int(made.reservation["id"])


class TestExpiring:
    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
        """Collect the advice that is sent from now on in a list, and return the list."""
        told: list[tuple[str, dict[str, Any]]] = []
        really = publish.advice_send

        def advice_send(*, advice: list[tuple[str, dict[str, Any]]]) -> None:
            told.extend(advice)
            really(advice=advice)

        monkeypatch.setattr(publish, "advice_send", advice_send)
        return told

    def crossed(self, pk: int, left: float, *, window: float = 0.5) -> list[int]:
        """Return the thresholds that a hold crossed in the `window` seconds before it had `left` seconds left."""
        at: datetime = Reservation.objects.get(pk=pk).expires_at - timedelta(seconds=left)
        after = at - timedelta(seconds=window)
        return [
            threshold
            for threshold in EXPIRING_SECONDS
            if selectors.holds_expiring(thresholds=[threshold], after=after, until=at)
        ]

    def test_advice_is_sent_once_for_each_threshold(self, buyer: User, ticket_type: TicketType) -> None:
        pk = claim(buyer, ticket_type)
        looks = [self.crossed(pk, left / 2, window=0.5) for left in range(620, 0, -1)]
        assert [threshold for look in looks for threshold in look] == [300, 120, 60, 30]

    def test_no_advice_is_sent_for_thresholds_that_the_hold_was_never_above(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        pk = claim(buyer, ticket_type, minutes=1)
        assert self.crossed(pk, 0, window=1000) == [30]

    def test_advice_is_only_about_holds(self, buyer: User, ticket_type: TicketType) -> None:
        pk = claim(buyer, ticket_type)
        Reservation.objects.update(state="paying")
        assert self.crossed(pk, 0, window=1000) == []

    def test_the_sweeper_sends_advice_to_the_client(
        self, buyer: User, ticket_type: TicketType, given: list[tuple[str, dict[str, Any]]]
    ) -> None:
        pk = claim(buyer, ticket_type)
        start = timezone.now()
        Reservation.objects.update(expires_at=start + timedelta(seconds=60.2))
        services.sweep(instants=[start + timedelta(seconds=0.1 * nth) for nth in range(6)])
        assert {stream for stream, _ in given} == {f"me.{buyer.pk}"}
        assert {advice["reservation"] for _, advice in given} == {pk}
        assert given[-1][1]["expires_in"] in (59, 60)
        assert given[-1][1]["expires_at"].endswith("Z")
