"""The rollup, and the state of the monitor: exact, bounded, and equal to the API's figures."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from checkout import services as checkout
from overlord.accounts.models import User
from overlord.kernel import db, queue_health, redis_client
from overlord.kernel.queues import Queue
from overlord.shop import formats
from realtime import sockets
from stats import monitor, selectors, services, system
from stats.models import Minute, Reading
from tests.clients import permit
from tests.threads import together
from tickets import operations, order_services
from tickets import services as tickets
from tickets.admission.tests import admitting
from tickets.admission.tests.doors import codes_of, scan
from tickets.line.tests.lines import enter, line_make, open_sale, people, serve_all
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import claim, end

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sample(at: datetime) -> None:
    services.sample(system={"viewers": 3}, now=at)


def minutes() -> dict[str, tuple[int, int, int, int]]:
    return {
        f"{m.minute:%H:%M}": (m.reserved, m.paid, m.expired, m.failed) for m in Minute.objects.order_by("pk")
    }


class TestTheRollup:
    def test_a_change_counts_in_the_minute_in_which_it_was_read(self, ticket_type: TicketType) -> None:
        counters = Inventory.objects.filter(pk=ticket_type.pk)
        counters.update(reservations=10)
        sample(NOON)  # the first reading only records the counters
        counters.update(reservations=12, reservations_paid=1)
        sample(NOON + timedelta(seconds=20))
        counters.update(reservations=15, reservations_expired=2)
        sample(NOON + timedelta(seconds=59))
        counters.update(payments_failed=1)
        sample(NOON + MINUTE)
        sample(NOON + 2 * MINUTE)
        assert minutes() == {"12:00": (5, 1, 2, 0), "12:01": (0, 0, 0, 1)}

    def test_a_counter_that_fell_counts_as_unchanged(
        self, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        Inventory.objects.filter(pk=ticket_type_make().pk).update(reservations=5)
        sample(NOON)
        Inventory.objects.exclude(pk=ticket_type.pk).delete()
        sample(NOON + MINUTE)
        Inventory.objects.update(reservations=1)
        sample(NOON + 2 * MINUTE)
        assert minutes() == {"12:02": (1, 0, 0, 0)}

    def test_samples_beside_each_other_count_once(self, ticket_type: TicketType) -> None:
        sample(NOON)
        Inventory.objects.update(reservations=7)
        assert together(*[lambda: sample(NOON)] * 6) == [None] * 6
        assert minutes() == {"12:00": (7, 0, 0, 0)}


@pytest.fixture
def busy(user_make: Callable[..., User], ticket_type: TicketType) -> TicketType:
    """Make a type of which one reservation is paid, one has expired, one is being paid for and one is held."""
    paid, late, paying, held = (user_make() for _ in range(4))
    made = {user.pk: claim(user.pk, ticket_type, 2).reservation["id"] for user in (paid, late, paying, held)}
    for user in (paid, paying):
        with db.transaction():
            order, now = operations.order_lock(order_id=made[user.pk])
            reservations = operations.order_begin_paying(order=order, now=now)
            if user is paid:
                operations.order_validate(reservations=reservations, now=now)
    end(late)
    tickets.due_holds_sweep()
    return ticket_type


@pytest.mark.parametrize(("language", "text"), [("en", "0.15 s"), ("de", "0,15 s")])
def test_seconds_are_written_as_in_the_language_of_the_page(language: str, text: str) -> None:
    with translation.override(language):
        assert render_to_string("stats/seconds.html", {"value": 0.15}).strip() == text


class TestThePicture:
    def test_the_monitor_shows_what_the_tables_hold(self, busy: TicketType) -> None:
        now = timezone.now()
        sample(now - MINUTE)
        Reservation.objects.filter(state="paying").update(paying_since=now - MINUTE)
        shown = monitor.content(now=now + timedelta(minutes=12))
        assert shown["totals"] == {
            "capacity": 50,
            "held": 4,
            "sold": 2,
            "free": 44,
            "reservations": 4,
            "reserved_tickets": 8,
        }
        assert shown["money"] == [{"currency": "EUR", "amount": "30.00"}]
        assert shown["funnel"] == {"reserved": 4, "paid": 1, "expired": 1, "failed": 0}
        [event] = shown["events"]
        [ticket_type] = event["types"]
        assert (ticket_type["held"], ticket_type["sold"], ticket_type["free"], ticket_type["sale"]) == (
            4,
            2,
            44,
            "open",
        )
        assert (shown["holds"]["within_minute"], shown["holds"]["within_five"]) == (0, 1)
        assert [hold["amount"] for hold in shown["holds"]["first"]] == [2]
        assert (shown["payments"]["in_flight"], shown["payments"]["in_doubt"]) == (1, 1)
        assert shown["payments"]["median_seconds"] is not None
        assert [h["what"] for h in shown["feed"]][:2] == ["expired", "paid"]
        assert len(shown["feed"]) == 6
        assert shown["system"] == {"viewers": 3}
        assert len(shown["minutes"]) == monitor.MINUTES

    def test_drafts_and_hidden_types_that_nobody_reserved_are_not_counted(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        shown, draft, hidden, reserved = (ticket_type_make(capacity=10) for _ in range(4))
        before = monitor.content(now=timezone.now())
        assert before["totals"]["capacity"] == 40  # the control
        TicketType.objects.filter(pk__in=[hidden.pk, reserved.pk]).update(hidden=True)
        Inventory.objects.filter(pk=reserved.pk).update(reservations=1, reserved_tickets=1, sold=1)
        Inventory.objects.filter(pk=draft.pk).update(paused=True)
        Event.objects.filter(pk=draft.event_id).update(status=Event.Status.DRAFT)
        after = monitor.content(now=timezone.now())
        assert (after["totals"]["capacity"], after["totals"]["free"]) == (20, 19)
        assert {row["id"] for row in after["top_events"]} == {
            each.event_id for each in (shown, hidden, reserved)
        }

    def test_an_order_that_is_paid_for_counts_once(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first = ticket_type_make()
        types = [first, ticket_type_make(event=first.event)]
        items = [order_services.Wanted(ticket_type=each.pk, quantity=2) for each in types]
        now = timezone.now()
        for _ in range(2):
            made = order_services.order_claim(
                buyer_id=user_make().pk, items=items, order_id=None, key=None, hold=MINUTE, now=now
            )
            with db.transaction():
                order, _ = operations.order_lock(order_id=made.order["order"])
                operations.order_begin_paying(order=order, now=now - MINUTE)

        payments = monitor.content(now=now)["payments"]

        assert (payments["in_flight"], payments["in_doubt"]) == (2, 2)
        assert {each["amount"] for each in payments["doubtful"]} == {4}
        assert payments["doubtful"][0]["ticket_type"] == ", ".join(each.name for each in types)

    def test_the_last_minute_is_the_last_sixty_seconds(self, ticket_type: TicketType) -> None:
        counters, now = Inventory.objects.filter(pk=ticket_type.pk), timezone.now()
        for seconds in range(90, 0, -1):  # one reservation a second, two of three paid at the end
            counters.update(reservations=90 - seconds, reservations_paid=max(0, 30 - seconds))
            sample(now - timedelta(seconds=seconds))
        counters.update(reservations=90, reservations_paid=30)

        assert monitor.content(now=now)["last_minute"] == {"reserved": 60, "paid": 30}
        later = now + timedelta(seconds=35)
        assert monitor.content(now=later)["last_minute"] == {"reserved": 25, "paid": 25}
        assert len(Reading.objects.get().recent) <= 62

    def test_changes_during_a_pause_of_readings_do_not_count_in_the_last_minute(
        self, ticket_type: TicketType
    ) -> None:
        counters, now = Inventory.objects.filter(pk=ticket_type.pk), timezone.now()
        sample(now - timedelta(minutes=9))
        counters.update(reservations=100)
        sample(now - timedelta(seconds=3))
        counters.update(reservations=104)
        assert monitor.content(now=now)["last_minute"] == {"reserved": 4, "paid": 0}

    def test_a_payment_that_failed_stays_in_the_feed(self, ticket_type: TicketType, buyer: User) -> None:
        held = claim(buyer.pk, ticket_type, 2).reservation["id"]
        for token in ("card_error", "ok"):
            begun = checkout.reservation_pay(
                buyer_id=buyer.pk, reservation_id=held, gateway="sandbox", token=token
            )
            checkout.payment_process(payment_id=begun.payment.pk)
        feed = monitor.content(now=timezone.now())["feed"]
        assert [each["what"] for each in feed] == ["paid", "failed", "reserved"]
        assert [(each["amount"], each["reservation"]) for each in feed] == [(2, held)] * 3

    def test_the_monitor_shows_the_same_figures_as_the_api(self, busy: TicketType) -> None:
        shown = monitor.content(now=timezone.now())
        [figures] = selectors.events(after=None, most=10)
        assert figures["sold_amount"] == shown["totals"]["sold"]
        assert figures["reservation_amount"] == shown["funnel"]["reserved"]

    @pytest.mark.parametrize(
        ("held", "sold", "status"), [(0, 49, "open"), (1, 49, "all_held"), (0, 50, "sold_out")]
    )
    def test_an_event_without_tickets_left_is_not_shown_as_on_sale(
        self, ticket_type: TicketType, held: int, sold: int, status: str
    ) -> None:
        Inventory.objects.filter(pk=ticket_type.pk).update(held=held, sold=sold)
        [event] = monitor.content(now=timezone.now())["events"]
        assert (event["sale"], event["status"]) == ("open", status)

    def test_held_tickets_of_an_ended_type_do_not_come_back_on_sale(
        self, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        early = ticket_type_make(event=ticket_type.event, closes_at=timezone.now() - timedelta(days=1))
        Inventory.objects.filter(pk=early.pk).update(held=1)
        Inventory.objects.filter(pk=ticket_type.pk).update(sold=50)
        [event] = monitor.content(now=timezone.now())["events"]
        assert event["status"] == "sold_out"

    def test_the_monitor_shows_admissions_by_gate_at_open_doors(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        steward, now = user_make(), timezone.now()
        tonight, next_month = ticket_type_make(), ticket_type_make()
        Event.objects.filter(pk=tonight.event_id).update(date=now + timedelta(hours=1))
        for ticket_type in (tonight, next_month):
            for code in codes_of(admitting.paid(user_make(), ticket_type, 2)):
                scan(code, actor_id=steward.pk, gate="North")
        [door] = monitor.content(now=timezone.now())["doors"]
        [later] = monitor.content(now=timezone.now() + timedelta(minutes=7))["doors"]
        gate = {"gate": "North", "admitted": 2}
        minutes = door.pop("minutes")

        assert door == {
            "id": tonight.event_id,
            "name": tonight.event.name,
            "date": now + timedelta(hours=1),
            "time_zone": "UTC",
            "admitted": 2,
            "tickets": 2,
            "conflicts": 0,
            "gates": [{**gate, "lately": 2}],
        }
        assert later["gates"] == [{**gate, "lately": 0}]
        assert sum(each["admitted"] for each in minutes) == 2
        assert minutes == sorted(minutes, key=lambda each: each["minute"], reverse=True)
        assert len({each["key"] for each in minutes}) == len(minutes)

    def test_the_door_of_an_event_of_several_days_is_open_until_after_its_end(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        steward, now = user_make(), timezone.now()
        festivals, concerts = ([ticket_type_make() for _ in range(n)] for n in (3, 2))
        for ticket_type in (*festivals, *concerts):
            [code] = codes_of(admitting.paid(user_make(), ticket_type))
            scan(code, actor_id=steward.pk)
        for nth, each in enumerate(festivals):
            begun = now - timedelta(days=nth + 1)
            Event.objects.filter(pk=each.event_id).update(date=begun, ends_at=now + timedelta(hours=1))
        for nth, each in enumerate(concerts):
            Event.objects.filter(pk=each.event_id).update(date=now + timedelta(hours=nth))

        def doors(hours: float) -> list[int]:
            return [door["id"] for door in monitor.doors_open(now=now + timedelta(hours=hours))]

        lasting = [each.event_id for each in reversed(festivals)]
        first, second = (each.event_id for each in concerts)
        assert doors(0) == [lasting[-1], first, second], "the latest festival takes the place that is left"
        assert doors(-14) == lasting
        assert doors(12.9) == [*lasting[1:], second], "the first concert began more than twelve hours ago"
        assert doors(13.1) == []

    def test_what_a_past_or_cancelled_event_did_not_sell_is_not_available(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        now = timezone.now()
        paused, ended, cancelled, late = (ticket_type_make(capacity=n) for n in (1, 20, 300, 4000))
        Inventory.objects.filter(pk=paused.pk).update(paused=True)
        Inventory.objects.filter(pk=ended.pk).update(closes_at=now)
        Inventory.objects.filter(pk=cancelled.pk).update(paused=True)
        Event.objects.filter(pk=cancelled.event_id).update(status="cancelled")
        Event.objects.filter(pk=late.event_id).update(date=now - timedelta(days=1))
        totals = monitor.content(now=now)["totals"]

        assert (totals["capacity"], totals["free"]) == (4321, 4001)
        assert selectors.sale_figures(now=now)["available"] == 4001

    def test_the_page_names_the_date_of_each_event_because_two_may_have_one_name(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        [ticket_type] = line_make(ticket_type_make, 2)
        enter(ticket_type, people(1)[0])
        event = Event.objects.filter(pk=ticket_type.event_id)
        event.update(date=timezone.now() + timedelta(hours=11), time_zone="Asia/Tokyo")
        [code] = codes_of(admitting.paid(user_make(), ticket_type_make(event=event.get())))
        scan(code, actor_id=user_make().pk)
        client = Client()
        client.force_login(permit(user_make(), "stats.view_monitor", "tickets.pause_sale"))
        page = client.get("/monitor/").content.decode()

        date = formats.date_time(event.get().date, "Asia/Tokyo")
        assert page.count(f'data-as="date-time">{date}</span>') == 3, "the line, the door and the event"
        assert page.count(f'data-when="{date}"') == 2, "the questions before a pause and its end"

    def test_the_page_shows_admissions_by_minute(
        self, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        Event.objects.filter(pk=ticket_type.event_id).update(date=timezone.now() + timedelta(hours=1))
        [code] = codes_of(admitting.paid(user_make(), ticket_type))
        scan(code, actor_id=user_make().pk, gate="Gate <North>")
        client = Client()
        client.force_login(permit(user_make(), "stats.view_monitor"))
        shown = client.get("/monitor/").content.decode()

        [door] = re.findall(r'<tbody data-rows="minutes" data-key="key">.*?<template>', shown, re.S)[:1]
        assert '<td data-show="gate">Gate &lt;North&gt;</td>' in door
        assert re.search(r'data-as="time">\d\d?:\d\d', door)

    def test_the_monitor_shows_the_lines_in_which_people_wait(
        self, user_make: Callable[..., User], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        [ticket_type] = line_make(ticket_type_make, 2)
        for buyer_id in people(5):
            enter(ticket_type, buyer_id)
        [lobby] = monitor.content(now=timezone.now())["lines"]
        open_sale([ticket_type])
        serve_all(ticket_type)
        [line] = monitor.content(now=timezone.now())["lines"]
        client = Client()
        client.force_login(permit(user_make(), "stats.view_monitor"))
        page = client.get("/monitor/").content.decode()

        wish = {"id": ticket_type.pk, "name": ticket_type.name}
        assert (lobby["status"], lobby["waiting"], lobby["ends_at"]) == ("lobby", 5, None)
        assert lobby["wishes"] == [{**wish, "wished": 5, "there": 2}]
        assert sum(each["entries"] for each in lobby["minutes"]) == 5
        assert (line["status"], line["entered"], line["served"]) == ("standing", 5, 5)
        assert (line["waiting"], line["given"], line["passed"]) == (3, 2, 0)
        assert line["wishes"] == [{**wish, "wished": 3, "there": 0}]
        assert "Waiting for tickets" in page
        assert "/line/desk/" not in page, "staff who may not control a line get no link to it"

    def test_the_monitor_of_an_empty_shop_is_complete(self) -> None:
        shown = monitor.content(now=timezone.now())
        assert (shown["feed"], shown["money"], shown["payments"]["failure_rate"]) == ([], [], None)

    def test_the_number_of_queries_does_not_grow(
        self, busy: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        def count() -> int:
            with CaptureQueriesContext(connection) as context:
                monitor.content(now=timezone.now())
            return len(context)

        before = count()
        for _ in range(10):
            ticket_type_make()
        assert count() == before <= 17

    def test_reading_reservations_uses_an_index(self, busy: TicketType) -> None:
        with CaptureQueriesContext(connection) as context:
            monitor.content(now=timezone.now())
        of_reservations = [q["sql"] for q in context.captured_queries if "tickets_reservation" in q["sql"]]
        assert len(of_reservations) >= 4
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
            try:
                for query in of_reservations:
                    cursor.execute(f"EXPLAIN {query}")
                    plan = "\n".join(line for (line,) in cursor.fetchall())
                    assert "Seq Scan on tickets_reservation" not in plan, plan
            finally:
                cursor.execute("RESET enable_seqscan")


class TestTheSystem:
    def test_the_longest_wait_of_all_queues_is_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queue_health, "_last_record", {})
        queue_health.task_record(queue=Queue.LIVE, sent_at=datetime.now(UTC).timestamp() - 2000)
        queue_health.task_record(queue=Queue.MAIL, sent_at=datetime.now(UTC).timestamp())
        assert system.state()["queue_seconds"] > 1999

    def test_a_wait_that_was_never_recorded_is_unknown(self) -> None:
        assert system.state()["queue_seconds"] is None
        assert system.state()["viewers"] is None
        redis_client.connection().set(f"{sockets.SUBSCRIBERS}hub.1", 3)
        redis_client.connection().set(f"{sockets.SUBSCRIBERS}hub.2", 4)
        assert system.state()["viewers"] == 7

    def test_only_one_row_of_readings_is_kept(self) -> None:
        for nth in range(3):
            sample(NOON + nth * MINUTE)
        assert Reading.objects.count() == 1
