"""The data for search engines and social networks: structured data, the preview, the sitemap, excluded pages."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tickets.models import Event, Inventory, TicketType
from tickets.structured_data import as_json, availability

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "http://localhost:8080"


@pytest.fixture(autouse=True)
def base_url(settings: Any) -> None:
    settings.BASE_URL = BASE


def page_of(event: Event) -> str:
    return Client(headers={"accept": "text/html"}).get(f"/events/{event.pk}/").content.decode()


def facts_of(event: Event) -> dict[str, Any]:
    [script] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page_of(event), re.DOTALL)
    facts: dict[str, Any] = json.loads(script)
    return facts


def test_the_data_of_an_event_has_its_name_place_time_and_offers(ticket_type: TicketType) -> None:
    event = ticket_type.event
    event.venue, event.address, event.time_zone = "Town Hall", "Market Square 1", "Europe/Berlin"
    event.description = "Come **early**"
    event.ends_at = event.date + timedelta(hours=2)
    event.picture = f"{'0' * 32}-1200x800"
    event.save()
    facts = facts_of(event)
    assert facts["@type"] == "Event"
    assert facts["name"] == event.name
    assert facts["url"] == f"{BASE}/events/{event.pk}/"
    assert re.search(r"\+0[12]:00$", facts["startDate"])
    assert facts["eventStatus"] == "https://schema.org/EventScheduled"
    assert facts["location"] == {"@type": "Place", "name": "Town Hall", "address": "Market Square 1"}
    assert facts["description"] == "Come early"
    assert facts["image"] == [f"{BASE}/pictures/{event.picture}.jpg"]
    [offer] = facts["offers"]
    assert (offer["price"], offer["priceCurrency"]) == ("15.00", "EUR")
    assert offer["availability"] == "https://schema.org/InStock"
    page = page_of(event)
    assert f'<meta property="og:image" content="{BASE}/pictures/{event.picture}.jpg">' in page
    assert f'<meta property="og:title" content="{event.name}">' in page
    assert f'<link rel="canonical" href="{BASE}/events/{event.pk}/">' in page


def test_unknown_facts_are_left_out(ticket_type: TicketType) -> None:
    facts = facts_of(ticket_type.event)
    assert not {"location", "image", "description", "endDate"} & {*facts}
    assert "og:image" not in page_of(ticket_type.event)


def test_a_cancelled_event_says_so_and_offers_nothing(ticket_type: TicketType) -> None:
    Inventory.objects.update(paused=True)
    Event.objects.update(status="cancelled")
    facts = facts_of(ticket_type.event)
    assert facts["eventStatus"] == "https://schema.org/EventCancelled"
    assert "offers" not in facts


@pytest.mark.parametrize(
    ("ticket", "word"),
    [
        ({"amount": 5, "sold": 5, "available": 0, "sale": "open"}, "SoldOut"),
        ({"amount": 5, "sold": 4, "available": 0, "sale": "open"}, "OutOfStock"),  # the last one is on hold
        ({"amount": 5, "sold": 0, "available": 5, "sale": "open"}, "InStock"),
        ({"amount": 5, "sold": 0, "available": 5, "sale": "upcoming"}, "PreOrder"),
        ({"amount": 5, "sold": 0, "available": 5, "sale": "paused"}, "OutOfStock"),
        ({"amount": 5, "sold": 0, "available": 5, "sale": "ended"}, "OutOfStock"),
        ({"amount": 5, "sold": 0, "available": 5, "sale": "line"}, "LimitedAvailability"),
    ],
)
def test_each_state_of_a_sale_has_its_word(ticket: dict[str, Any], word: str) -> None:
    assert availability(ticket) == word


def test_no_text_of_an_event_ends_the_script(ticket_type: TicketType) -> None:
    text = "</script><script>alert(1)</script><!--\u2028& 'x'"
    assert json.loads(as_json({"name": text})) == {"name": text}
    Event.objects.update(description=text)
    assert "</script><script>alert" not in page_of(ticket_type.event)
    assert "<!--" in facts_of(ticket_type.event)["description"]


def test_the_sitemap_lists_events_on_sale_with_constant_queries(
    ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
) -> None:
    def read() -> tuple[str, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = Client().get("/sitemap.xml")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("application/xml")
        return answer.content.decode(), len(queries)

    few = read()[1]
    draft, past = ticket_type_make(paused=True).event, ticket_type_make().event
    Event.objects.filter(pk=draft.pk).update(status="draft")
    Event.objects.filter(pk=past.pk).update(date=timezone.now() - timedelta(days=1))
    Inventory.objects.filter(ticket_type__event=past).update(closes_at=timezone.now() - timedelta(days=1))
    for _ in range(3):
        ticket_type_make()
    text, many = read()
    assert many == few
    assert f"/events/{ticket_type.event_id}/</loc>" in text
    assert f"/events/{draft.pk}/" not in text
    assert f"/events/{past.pk}/" not in text
    assert text.count("<loc>") == 5
    assert Client().get("/sitemap.xml?p=99").status_code == 404


def test_robots_are_told_which_pages_to_leave_out() -> None:
    answer = Client().get("/robots.txt")
    assert answer["Content-Type"].startswith("text/plain")
    lines = answer.content.decode().splitlines()
    assert "Disallow: /office/" in lines
    assert f"Sitemap: {BASE}/sitemap.xml" in lines
    assert Client().post("/robots.txt").status_code == 405
