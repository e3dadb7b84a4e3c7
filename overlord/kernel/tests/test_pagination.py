"""Lists in pages: each row once, forwards and backwards, even if rows share a date."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from overlord.accounts.models import User
from tickets.models import Event

pytestmark = pytest.mark.django_db

INSTANT = datetime(2027, 1, 8, 19, 30, tzinfo=UTC)


def events_make(count: int, *, apart: timedelta = timedelta(0)) -> list[int]:
    """Make events and return their ids in the order of the list."""
    made = Event.objects.bulk_create(
        Event(name=f"Event {number}", date=INSTANT + number * apart, currency="EUR")
        for number in range(count)
    )
    return [event.pk for event in made]


def page(url: str) -> dict[str, Any]:
    answer = APIClient().get(url)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def walk(url: str | None, link: str) -> list[list[int]]:
    """Return the ids on each page, following one of the links to its end."""
    pages: list[list[int]] = []
    while url:
        assert len(pages) < 100
        body = page(url)
        pages.append([event["id"] for event in body["results"]])
        url = body[link]
    return pages


@pytest.mark.parametrize("apart", [timedelta(0), timedelta(minutes=1)])
def test_every_row_is_on_one_page_forwards(apart: timedelta) -> None:
    ids = events_make(1_250, apart=apart)

    pages = walk("/event/events/?page_size=100", "next")

    assert [pk for ids_of_page in pages for pk in ids_of_page] == ids
    assert [len(ids_of_page) for ids_of_page in pages] == [*[100] * 12, 50]


def test_the_way_back_loses_no_row() -> None:
    ids = events_make(60)
    second = page(page("/event/events/")["next"])
    third = page(second["next"])

    assert third["next"] is None
    back = page(third["previous"])
    assert back["results"] == second["results"]
    first = page(back["previous"])
    assert [event["id"] for event in first["results"]] == ids[:25]
    assert first["previous"] is None
    assert page(first["next"])["results"] == second["results"]


def test_rows_added_or_removed_meanwhile_move_no_other_row() -> None:
    ids = events_make(30)
    first = page("/event/events/")
    Event.objects.filter(pk__in=ids[:25]).delete()

    assert [event["id"] for event in page(first["next"])["results"]] == ids[25:]


def test_beyond_the_end_is_an_empty_page_with_a_way_back() -> None:
    ids = events_make(30)
    following = page("/event/events/")["next"]
    Event.objects.filter(pk__in=ids[25:]).delete()

    empty = page(following)
    assert (empty["results"], empty["next"]) == ([], None)
    assert [event["id"] for event in page(empty["previous"])["results"]] == ids[:25]


def test_before_the_beginning_is_an_empty_page_with_a_way_on() -> None:
    ids = events_make(30)
    before = page(page("/event/events/")["next"])["previous"]
    Event.objects.filter(pk__in=ids[:25]).delete()

    empty = page(before)
    assert (empty["results"], empty["previous"]) == ([], None)
    assert [event["id"] for event in page(empty["next"])["results"]] == ids[25:]


@pytest.mark.django_db(transaction=True)
def test_the_newest_first_works_both_ways(api: APIClient, buyer: User, ticket_type_make: Any) -> None:
    made = [
        api.post("/event/reservations/", {"ticket_type": ticket_type_make().pk, "amount": 1}, format="json")
        for _ in range(5)
    ]
    newest_first = [answer.json()["id"] for answer in reversed(made)]

    pages, url = [], "/event/reservations/?page_size=2"
    while url:
        body = api.get(url).json()
        pages.append([each["id"] for each in body["results"]])
        last, url = body, body["next"]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert [each["id"] for each in api.get(last["previous"]).json()["results"]] == newest_first[2:4]


def test_a_page_is_read_by_the_index() -> None:
    events_make(50)
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM tickets_event WHERE ROW(date, id) > ROW(%s, 5) ORDER BY date, id LIMIT 5",
            [INSTANT],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "event_by_date" in plan
    assert "Index Cond" in plan


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "after",
        "after~2027-01-08T19:30:00Z",
        "after~2027-01-08T19:30:00~1",
        "after~2027-01-08T19:30:00Z~1~1",
        "after~2027-01-08T19:30:00Z~1_0",
        f"after~2027-01-08T19:30:00Z~{2**63}",
        "after~9999-12-31T23:59:59-23:59~1",
        "after~0001-01-01T00:00:00+23:59~1",
        "beside~2027-01-08T19:30:00Z~1",
        "cD0yMDI3LTAxLTA4",
        "after~\0~1",
    ],
)
def test_a_cursor_that_no_list_gave_is_malformed(cursor: str) -> None:
    answer = APIClient().get("/event/events/", {"cursor": cursor})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["cursor"])


@pytest.mark.parametrize(
    "size", ["", "0", "-1", "banana", "1_0", "\N{FULLWIDTH DIGIT TWO}", "1e1", str(2**63)]
)
def test_a_page_size_that_is_no_number_is_malformed(size: str) -> None:
    answer = APIClient().get("/event/events/", {"page_size": size})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["page_size"])


def test_a_page_has_a_hundred_rows_at_most() -> None:
    events_make(101)

    assert len(page("/event/events/?page_size=1000")["results"]) == 100


@pytest.mark.parametrize("upcoming", ["banana", "", "yes"])
def test_a_flag_that_is_neither_true_nor_false_is_malformed(upcoming: str) -> None:
    answer = APIClient().get("/event/events/", {"upcoming": upcoming})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["upcoming"])
