"""The events of the monitor: staff can reach every event that is not over, even if there are many."""

import re
from collections.abc import Callable
from datetime import timedelta

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
    assert live() == events_of(types[:LIVE])


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


def test_a_search_without_a_result_says_so(staff: Client) -> None:
    assert "No events match “nothing”" in staff.get("/monitor/?q=nothing").content.decode()
    for odd in ("page=0", "page=x", "page=99999999999999999999", "page=10000", "q=%00"):
        assert staff.get(f"/monitor/?{odd}").status_code == 200
