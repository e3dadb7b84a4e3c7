"""The events of the monitor: staff can reach every event that is not over, even if there are many."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from overlord.accounts.models import User
from stats import monitor, monitor_events
from tests.clients import permit
from tickets.models import Event, Inventory, TicketType
from tickets.tests.reserving import claim

pytestmark = pytest.mark.django_db(transaction=True)

LIVE = 2
EARLIER, LATER = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType], monkeypatch: pytest.MonkeyPatch) -> list[TicketType]:
    """Make five events, each a day after the one before it, of which the monitor keeps LIVE live."""
    monkeypatch.setattr(monitor_events, "EVENTS", LIVE)
    made = [ticket_type_make() for _ in range(5)]
    for nth, each in enumerate(made):
        Event.objects.filter(pk=each.event_id).update(date=timezone.now() + timedelta(days=nth + 1))
    return made


@pytest.fixture
def staff(user_make: Callable[..., User]) -> Client:
    client = Client()
    client.force_login(permit(user_make(), "stats.view_monitor", "tickets.pause_sale"))
    return client


def live() -> list[int]:
    return [event["id"] for event in monitor.content(now=timezone.now())["events"]]


def events_of(types: list[TicketType]) -> list[int]:
    return [each.event_id for each in types]


def shown(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'class="of-event" data-row="(\d+)"', page)]


def test_the_next_events_are_live(types: list[TicketType]) -> None:
    assert live() == events_of(types[:LIVE])


def test_an_event_with_recent_changes_is_live_however_late_it_is(
    types: list[TicketType], buyer: User
) -> None:
    claim(buyer.pk, types[4], 1)
    assert live() == events_of([*types[:LIVE], types[4]])


def test_only_the_few_latest_events_with_changes_are_live(
    types: list[TicketType], buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_events, "ACTIVE", 1)
    for each in (types[4], types[3]):
        claim(buyer.pk, each, 1)
    assert live() == events_of([*types[:LIVE], types[3]])


def test_an_event_that_is_over_is_not_live_although_it_has_changes(
    types: list[TicketType], buyer: User
) -> None:
    claim(buyer.pk, types[4], 1)
    Event.objects.filter(pk=types[4].event_id).update(date=timezone.now() - timedelta(hours=7))
    Inventory.objects.filter(pk=types[4].pk).update(closes_at=timezone.now())
    assert live() == events_of(types[:LIVE])


@pytest.mark.parametrize("hidden", [True, False])
def test_an_event_that_began_long_ago_is_shown_as_long_as_it_sells(
    hidden: bool, types: list[TicketType], staff: Client
) -> None:
    begun = Event.objects.filter(pk=types[4].event_id)
    begun.update(date=timezone.now() - timedelta(days=2))
    TicketType.objects.filter(pk=types[4].pk).update(hidden=hidden)
    assert live() == events_of([types[4], types[0]])
    assert shown(staff.get("/monitor/?q=Event").content.decode()) == events_of([types[4], types[0]])


def test_a_draft_takes_no_place(types: list[TicketType]) -> None:
    Inventory.objects.filter(pk=types[0].pk).update(paused=True)
    Event.objects.filter(pk=types[0].event_id).update(status="draft")
    assert live() == events_of(types[1 : LIVE + 1])


def test_the_pages_lead_to_all_events(types: list[TicketType], staff: Client) -> None:
    seen: list[list[int]] = []
    address = "/monitor/"
    while address:
        page = staff.get(address).content.decode()
        seen.append(shown(page))
        further = re.search(r'href="(\?page=\d+)#events">Next<', page)
        address = f"/monitor/{further[1]}" if further else ""
    assert [len(each) for each in seen] == [2, 2, 1]
    assert [event for each in seen for event in each] == events_of(types)


def test_the_search_finds_an_event_that_is_not_live_and_leads_back_to_it(
    types: list[TicketType], staff: Client
) -> None:
    found = f"/monitor/?q={types[4].event.name.replace(' ', '+')}"
    page = staff.get(found).content.decode()
    assert shown(page) == events_of(types[4:])
    assert 'data-rows="events"' not in page, "the stream would remove events that it does not have"
    assert "This list is not live" in page
    assert f'name="next" value="{found}"' in page
    paused = staff.post(f"/events/{types[4].event_id}/sale/", {"paused": "yes", "next": found})
    assert paused["Location"] == found


def offered(page: str) -> list[str]:
    """Return what the page offers to do with the sale of its first event."""
    [event] = re.findall(r'<div class="of-event" data-row="\d+">.*?</table>', page, re.S)[:1]
    return re.findall(r'<a [^>]*data-if="switch (\w+)"[^>]*data-meaning="[^"]*">', event)


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        ({}, {}, ["pause"]),
        ({"paused": True}, {}, ["pause"]),
        ({"paused": True}, {"opens_at": LATER}, ["pause"]),
        ({"opens_at": LATER}, {"opens_at": LATER}, ["pause"]),
        ({"line_first": True}, {"line_first": True}, ["pause"]),
        ({"paused": True}, {"paused": True}, ["resume"]),
        ({"paused": True}, {"paused": True, "opens_at": LATER}, ["resume"]),
        ({"paused": True}, {"closes_at": EARLIER}, ["resume"]),
        ({"paused": True, "closes_at": EARLIER}, {"closes_at": EARLIER}, []),
    ],
)
def test_the_monitor_offers_to_pause_whatever_goes_on_and_else_to_resume(
    one: dict[str, Any], other: dict[str, Any], wanted: list[str], staff: Client, ticket_type_make: Any
) -> None:
    first = ticket_type_make()
    types = [first, ticket_type_make(event=first.event)]
    for each, changes in zip(types, (one, other), strict=True):
        Inventory.objects.filter(pk=each.pk).update(**changes)
    assert offered(staff.get("/monitor/").content.decode()) == wanted
    if wanted:
        staff.post(f"/events/{first.event_id}/sale/", {"paused": "yes" if wanted == ["pause"] else "no"})
        now = offered(staff.get("/monitor/").content.decode())
        assert now == (["resume"] if wanted == ["pause"] else ["pause"])


def test_a_cancelled_event_says_so_and_offers_nothing(staff: Client, ticket_type: TicketType) -> None:
    Inventory.objects.update(paused=True)
    Event.objects.update(status="cancelled")
    page = staff.get("/monitor/").content.decode()
    assert 'data-show="status" data-as="status">Cancelled</span>' in page
    assert offered(page) == []


def test_the_events_have_all_tickets_that_the_totals_count(
    buyer: User, ticket_type_make: Callable[..., TicketType]
) -> None:
    """A type that was hidden after it was reserved stays, because staff compare the sums."""
    shown = ticket_type_make(capacity=9)
    reserved, planned = (ticket_type_make(event=shown.event, capacity=5, paused=True) for _ in range(2))
    Inventory.objects.filter(pk=reserved.pk).update(paused=False)
    claim(buyer.pk, reserved, 2)
    TicketType.objects.filter(pk__in=[reserved.pk, planned.pk]).update(hidden=True)
    Inventory.objects.filter(pk=shown.pk).update(opens_at=LATER)

    found = monitor.content(now=timezone.now())

    [event] = found["events"]
    assert [each["id"] for each in event["types"]] == [shown.pk, reserved.pk]
    for name in ("capacity", "held", "sold", "free"):
        assert sum(each[name] for each in event["types"]) == found["totals"][name], name
    assert (event["sale"], event["status"]) == ("upcoming", "upcoming"), "it is what buyers see"
    Inventory.objects.filter(pk=shown.pk).update(opens_at=None, sold=9)
    [event] = monitor.content(now=timezone.now())["events"]
    assert event["status"] == "sold_out"


def test_a_search_without_a_result_says_so(staff: Client) -> None:
    assert "No events match “nothing”" in staff.get("/monitor/?q=nothing").content.decode()
    for odd in ("page=0", "page=x", "page=99999999999999999999", "page=10000", "q=%00"):
        assert staff.get(f"/monitor/?{odd}").status_code == 200
