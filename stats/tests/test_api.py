"""The figures of the API: they are exact, for staff, and read from counters only."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from stats import operations, selectors, services, sql
from stats.api import views
from stats.models import EventRank, Reading
from stats.permissions import Permission
from tests.clients import api_of, permit
from tickets.models import Event, Inventory, TicketType
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db

PATHS = [
    "/stats/events/",
    "/stats/events/top_popular/",
    "/stats/events/top_selling/",
    "/stats/events/top_profit/",
    "/stats/tickets/",
]


@pytest.fixture
def staff(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(), Permission.VIEW_STATS))


@pytest.fixture
def event_make(ticket_type_make: Callable[..., TicketType]) -> Callable[..., Event]:
    """Make an event of one ticket type, with counters as they would be."""

    def make(
        name: str, *, currency: str = "EUR", day: int = 1, ticket_type: str = "Regular", **counters: int
    ) -> Event:
        event = Event.objects.create(name=name, date=timezone.now() + timedelta(days=day), currency=currency)
        made = ticket_type_make(event=event, capacity=10_000)
        TicketType.objects.filter(pk=made.pk).update(name=ticket_type)
        Inventory.objects.filter(pk=made.pk).update(**counters)
        return event

    return make


class TestWhoSeesIt:
    @pytest.mark.parametrize("path", PATHS)
    def test_staff_with_the_permission_see_the_figures(
        self, path: str, staff: APIClient, api: APIClient
    ) -> None:
        assert APIClient().get(path).status_code == 401
        assert api.get(path).status_code == 403
        assert staff.get(path).status_code == 200

    @pytest.mark.parametrize("path", PATHS)
    def test_anyone_sees_the_figures_if_the_operator_allows_it(self, path: str, settings: Any) -> None:
        settings.STATS_PUBLIC = True
        assert APIClient().get(path).status_code == 200


def test_events_by_date_with_their_figures(staff: APIClient, event_make: Callable[..., Event]) -> None:
    later = event_make("Later", day=2)
    sooner = event_make(
        "Sooner", currency="JPY", reservations=4, reserved_tickets=9, sold=5, revenue_minor=1200
    )
    assert staff.get("/stats/events/").json() == [
        {
            "id": sooner.pk,
            "event": "Sooner",
            "currency": "JPY",
            "reservation_amount": 4,
            "reserved_tickets": 9,
            "sold_amount": 5,
            "profit": "1200",
        },
        {
            "id": later.pk,
            "event": "Later",
            "currency": "EUR",
            "reservation_amount": 0,
            "reserved_tickets": 0,
            "sold_amount": 0,
            "profit": "0.00",
        },
    ]


def test_an_event_without_ticket_types_counts_nothing(staff: APIClient) -> None:
    Event.objects.create(name="Bare", date=timezone.now())
    [row] = staff.get("/stats/events/").json()
    assert (row["reservation_amount"], row["profit"]) == (0, "0.00")


def test_a_long_list_links_to_the_rest(
    staff: APIClient, event_make: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MOST", 2)
    for nth in range(5):
        event_make(f"Event {nth}", day=nth)
    url: str | None = "/stats/events/"
    seen: list[str] = []
    while url:
        page = staff.get(url)
        seen += [row["event"] for row in page.json()]
        link = page.headers.get("Link")
        url = link.partition(">")[0].removeprefix("<") if link else None
    assert seen == [f"Event {nth}" for nth in range(5)]


def test_a_page_reads_only_its_own_rows(event_make: Callable[..., Event]) -> None:
    made = [event_make(f"Event {nth}", day=nth) for nth in range(60)]
    db.rows("SET LOCAL enable_seqscan = off")  # as if there were many
    for after in (("-infinity", 0), (made[40].date, made[40].pk)):
        values = {"date": after[0], "id": after[1], "most": 5}
        plan = "\n".join(row["QUERY PLAN"] for row in db.rows(f"EXPLAIN (ANALYZE) {sql.EVENTS}", values))
        read = re.search(r"event_by_date on tickets_event .*\(actual .* rows=([\d.]+) .*\n *Index Cond", plan)
        assert read, plan
        assert float(read[1]) == 5, plan
        assert "Rows Removed" not in plan


@pytest.mark.parametrize(
    "cursor", ["x", "2027-01-01~1", "2027-01-01T00:00:00Z~", "~", f"2027-01-01T00:00Z~{2**63}"]
)
def test_a_cursor_that_no_list_gave_is_refused(staff: APIClient, cursor: str) -> None:
    assert staff.get("/stats/events/", {"after": cursor}).json()["code"] == "invalid"


class TestTheTop:
    def names(self, staff: APIClient, which: str) -> list[str]:
        return [row["event"] for row in staff.get(f"/stats/events/top_{which}/").json()]

    def test_the_five_highest(self, staff: APIClient, event_make: Callable[..., Event]) -> None:
        for nth in range(7):
            event_make(f"E{nth}", reservations=nth, sold=7 - nth, revenue_minor=100 * ((nth + 3) % 7))
        assert self.names(staff, "popular") == ["E6", "E5", "E4", "E3", "E2"]
        assert self.names(staff, "selling") == ["E0", "E1", "E2", "E3", "E4"]
        assert self.names(staff, "profit") == ["E3", "E2", "E1", "E0", "E6"]

    def test_ties_go_by_date_then_id(self, staff: APIClient, event_make: Callable[..., Event]) -> None:
        event_make("late", day=9, sold=1)
        event_make("early", day=1, sold=1)
        assert self.names(staff, "selling") == ["early", "late"]

    def test_profits_are_compared_as_decimal_amounts(
        self, staff: APIClient, event_make: Callable[..., Event]
    ) -> None:
        event_make("yen", currency="JPY", revenue_minor=1500)  # 1500
        event_make("euro", currency="EUR", revenue_minor=2000)  # 20.00
        event_make("dinar", currency="KWD", revenue_minor=21_000)  # 21.000
        assert self.names(staff, "profit") == ["yen", "dinar", "euro"]


class TestDraftsAndHiddenTypes:
    """Only those who make events see them; they take no place of an event that buyers see."""

    @pytest.fixture
    def public(self, settings: Any) -> APIClient:
        settings.STATS_PUBLIC = True
        return APIClient()

    @staticmethod
    def _draft(event: Event) -> Event:
        Inventory.objects.filter(ticket_type__event=event).update(paused=True)
        Event.objects.filter(pk=event.pk).update(status=Event.Status.DRAFT)
        return event

    @staticmethod
    def _hide(event: Event) -> None:
        TicketType.objects.filter(event=event).update(hidden=True)

    @pytest.mark.parametrize("path", PATHS)
    def test_nobody_sees_a_draft(
        self, path: str, staff: APIClient, event_make: Callable[..., Event], settings: Any
    ) -> None:
        event = event_make("Secret", ticket_type="Secret type")
        assert "Secret" in staff.get(path).content.decode()  # the control
        self._draft(event)
        assert staff.get(path).json() == []
        settings.STATS_PUBLIC = True
        assert APIClient().get(path).json() == []

    @pytest.mark.parametrize("by", selectors.Ranking)
    def test_a_draft_takes_no_place_of_those_that_are_looked_at(
        self, by: selectors.Ranking, event_make: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selectors, "LOOKED_AT", 1)
        draft = event_make("Was on sale", day=1)
        first, newest = event_make("First", day=2), event_make("Newest", day=3)
        _sample()
        newer = event_make("Newer", day=4)
        assert [row["id"] for row in selectors.events_top(by=by)] == [draft.pk, newer.pk]  # the control
        self._draft(draft)
        self._draft(newer)
        assert [row["id"] for row in selectors.events_top(by=by)] == [first.pk, newest.pk]

    def test_an_event_that_is_a_draft_again_loses_its_rank_until_it_is_on_sale(
        self, event_make: Callable[..., Event]
    ) -> None:
        event, other = event_make("Event"), event_make("Other")
        ranked = EventRank.objects.order_by("pk").values_list("pk", flat=True)
        _sample()
        assert [*ranked.all()] == [event.pk, other.pk]
        self._draft(event)
        _sample()
        assert [*ranked.all()] == [other.pk]
        Event.objects.filter(pk=event.pk).update(status=Event.Status.ON_SALE)
        _sample()
        assert [*ranked.all()] == [event.pk, other.pk]

    def test_a_page_of_events_is_full_although_there_are_drafts(
        self, staff: APIClient, event_make: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(views, "MOST", 2)
        made = [event_make(f"E{nth}", day=nth) for nth in range(4)]
        self._draft(made[1])
        page = staff.get("/stats/events/")
        assert [row["event"] for row in page.json()] == ["E0", "E2"]
        assert "Link" in page.headers

    def test_staff_see_a_hidden_type_that_was_reserved(
        self, staff: APIClient, event_make: Callable[..., Event]
    ) -> None:
        self._hide(event_make("A", ticket_type="Guests", reservations=1))
        self._hide(event_make("B", ticket_type="Planned"))
        event_make("C", ticket_type="Regular")
        shown = [row["ticket_type"] for row in staff.get("/stats/tickets/").json()]
        assert shown == ["Guests", "Regular"]

    def test_the_public_sees_no_hidden_type_and_none_of_its_figures(
        self, public: APIClient, staff: APIClient, event_make: Callable[..., Event]
    ) -> None:
        self._hide(event_make("A", ticket_type="Guests", reservations=1))
        self._hide(event_make("B", ticket_type="Regular", reservations=5))
        event_make("C", ticket_type="Regular", reservations=2)
        figures = {
            client: [
                (row["ticket_type"], row["reservation_amount"])
                for row in client.get("/stats/tickets/").json()
            ]
            for client in (public, staff)
        }
        assert figures == {public: [("Regular", 2)], staff: [("Guests", 1), ("Regular", 7)]}

    def test_staff_without_a_second_factor_are_the_public(
        self, public: APIClient, staff: APIClient, event_make: Callable[..., Event], settings: Any
    ) -> None:
        self._hide(event_make("A", ticket_type="Guests", reservations=1))
        settings.STAFF_SECOND_FACTOR = "staff"
        assert staff.get("/stats/tickets/").json() == public.get("/stats/tickets/").json() == []


def _sample() -> None:
    services.sample(system={}, now=timezone.now())


class TestTheTopOfMany:
    """The leading events are found by their ranks if there are more events than one read looks at."""

    @pytest.fixture(autouse=True)
    def many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(selectors, "LOOKED_AT", 1)

    @pytest.mark.parametrize("by", selectors.Ranking)
    def test_the_leading_events_are_found_after_a_sample(
        self, by: selectors.Ranking, event_make: Callable[..., Event]
    ) -> None:
        first = event_make("First", reservations=2, sold=2, revenue_minor=200)
        newest = event_make("Newest", reservations=1, sold=1, revenue_minor=100)
        found = [row["id"] for row in selectors.events_top(by=by)]
        assert found == [newest.pk]  # nothing was compared yet
        _sample()
        found = [row["id"] for row in selectors.events_top(by=by)]
        assert found == [first.pk, newest.pk]

    def test_samples_compare_a_few_events_each_and_begin_again(
        self, event_make: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "RANKED", 2)
        made = [event_make(f"E{nth}", sold=nth) for nth in range(3)]
        known = []
        for _ in range(2):
            _sample()
            known.append([*EventRank.objects.order_by("pk").values_list("sold", flat=True)])
        assert known == [[0, 1], [0, 1, 2]]
        Inventory.objects.filter(ticket_type__event=made[0]).update(sold=9)
        _sample()
        assert EventRank.objects.get(pk=made[0].pk).sold == 9

    @pytest.mark.django_db(transaction=True)
    def test_an_event_that_sells_does_not_wait_for_its_turn(
        self,
        event_make: Callable[..., Event],
        user_make: Callable[..., User],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        event_make("First")
        selling = event_make("Selling")
        monkeypatch.setattr(operations, "RANKED", 1)
        _sample()
        claim(user_make().pk, TicketType.objects.get(event=selling), 2)
        Reading.objects.update(ranked_to=0)
        _sample()
        assert EventRank.objects.get(pk=selling.pk).reservations == 1

    def test_the_top_follows_a_new_date_and_a_deleted_event(self, event_make: Callable[..., Event]) -> None:
        gone, moved = event_make("Gone"), event_make("Moved")
        _sample()
        date = timezone.now() + timedelta(days=90)
        Event.objects.filter(pk=moved.pk).update(date=date)
        gone.delete()
        _sample()
        assert [*EventRank.objects.values_list("pk", "date")] == [(moved.pk, date)]

    @pytest.mark.parametrize("by", selectors.Ranking)
    def test_the_top_reads_no_more_rows_than_its_limit(
        self, by: selectors.Ranking, event_make: Callable[..., Event]
    ) -> None:
        for nth in range(30):
            event_make(f"E{nth}")
        _sample()
        for way in ("seqscan", "bitmapscan", "sort"):
            db.rows(f"SET LOCAL enable_{way} = off")  # as if there were many
        values = {"weights": selectors.weights(), "looked_at": 4, "most": 5}
        text = sql.EVENTS_TOP.format(column=selectors.RANKS[by], figure=by.value)
        plan = "\n".join(row["QUERY PLAN"] for row in db.rows(f"EXPLAIN (ANALYZE) {text}", values))
        read = re.search(r"using event_rank_\w+ on stats_eventrank .*\(actual .* rows=([\d.]+) ", plan)
        assert read, plan
        assert float(read[1]) == 4, plan


def test_ticket_types_by_name_and_currency(staff: APIClient, event_make: Callable[..., Event]) -> None:
    event_make("A", ticket_type="VIP", reservations=2, reserved_tickets=3, sold=2, revenue_minor=500)
    event_make("B", ticket_type="VIP", reservations=2, reserved_tickets=7, sold=4, revenue_minor=700)
    event_make("C", ticket_type="VIP", currency="GBP")
    found = {(row["ticket_type"], row["currency"]): row for row in staff.get("/stats/tickets/").json()}
    assert list(found) == [("VIP", "EUR"), ("VIP", "GBP")]
    assert found["VIP", "EUR"] == {
        "ticket_type": "VIP",
        "currency": "EUR",
        "reservation_amount": 4,
        "reservation_avg_amount": 2.5,
        "sold_amount": 6,
        "profit": "12.00",
    }


@pytest.mark.parametrize("path", PATHS)
def test_the_number_of_queries_does_not_grow(
    path: str, staff: APIClient, event_make: Callable[..., Event]
) -> None:
    def queries() -> list[dict[str, Any]]:
        with CaptureQueriesContext(connection) as context:
            staff.get(path)
        return context.captured_queries

    event_make("one")
    before = queries()
    for nth in range(20):
        event_make(f"more {nth}", currency=["EUR", "JPY"][nth % 2])
    after = queries()
    assert len(after) == len(before) <= 4
    assert not any("tickets_reservation" in query["sql"] for query in after)
