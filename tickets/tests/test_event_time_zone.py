"""An event's times are entered and shown in its own time zone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from overlord.accounts.models import User
from tickets.models import Event, Inventory
from tickets.tests.forms import fields_of

pytestmark = pytest.mark.django_db(transaction=True)

FORM = {
    "name": "Gala",
    "date_0": "2030-05-01",
    "date_1": "19:30:00",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "buyers": "anyone",
    "opening": "direct",
    "description": "",
    "ticket_types-TOTAL_FORMS": "1",
    "ticket_types-INITIAL_FORMS": "0",
    "ticket_types-0-name": "Stalls",
    "ticket_types-0-price": "15.00",
    "ticket_types-0-capacity": "10",
    "ticket_types-0-max_per_user": "4",
    "ticket_types-0-opens_at_0": "2030-01-01",
    "ticket_types-0-opens_at_1": "10:00:00",
}


@pytest.fixture
def staff(user_make: Callable[..., User]) -> Client:
    client = Client()
    client.force_login(user_make(is_staff=True, is_superuser=True))
    return client


def test_the_admin_reads_and_shows_times_in_the_events_zone(staff: Client) -> None:
    assert staff.post("/admin/tickets/event/add/", FORM).status_code == 302
    gala = Event.objects.get()
    assert gala.date == datetime(2030, 5, 1, 17, 30, tzinfo=UTC)  # summer: two hours ahead
    assert Inventory.objects.get().opens_at == datetime(2030, 1, 1, 9, 0, tzinfo=UTC)  # winter: one hour

    shown = fields_of(staff.get(f"/admin/tickets/event/{gala.pk}/change/"))
    assert (shown["time_zone"], shown["date_0"], shown["date_1"]) == (
        "Europe/Berlin",
        "2030-05-01",
        "19:30:00",
    )
    assert shown["ticket_types-0-opens_at_1"] == "10:00:00"
    assert "Wed, May 1, 2030, 7:30\u202fPM Berlin time" in staff.get("/admin/tickets/event/").content.decode()


def test_another_zone_keeps_the_time_of_day(staff: Client) -> None:
    staff.post("/admin/tickets/event/add/", FORM)
    gala = Event.objects.get()
    page = f"/admin/tickets/event/{gala.pk}/change/"
    sent = {**fields_of(staff.get(page)), "time_zone": "Europe/Lisbon"}
    assert staff.post(page, sent).status_code == 302
    gala.refresh_from_db()
    assert (gala.date, gala.time_zone) == (datetime(2030, 5, 1, 18, 30, tzinfo=UTC), "Europe/Lisbon")
    assert Inventory.objects.get().opens_at == datetime(2030, 1, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("form", ["/admin/tickets/event/{}/change/", "/office/events/{}/edit/"])
def test_a_time_that_comes_twice_stays_while_others_are_edited(staff: Client, form: str) -> None:
    twice = [datetime(2030, 10, 27, 0, 30, tzinfo=UTC), datetime(2030, 10, 27, 1, 30, tzinfo=UTC)]
    staff.post("/admin/tickets/event/add/", FORM)
    gala = Event.objects.get()
    for begins, closes in (twice, reversed(twice)):
        Event.objects.update(date=begins)
        Inventory.objects.update(opens_at=closes, closes_at=datetime(2030, 10, 27, 5, tzinfo=UTC))
        page = form.format(gala.pk)
        sent = {**fields_of(staff.get(page)), "name": f"Gala until {closes}"}
        assert staff.post(page, sent).status_code == 302
        gala.refresh_from_db()
        assert (gala.name, gala.date) == (f"Gala until {closes}", begins)
        assert Inventory.objects.get().opens_at == closes


def test_a_new_event_has_the_installations_zone(staff: Client, settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    assert fields_of(staff.get("/admin/tickets/event/add/"))["time_zone"] == "America/New_York"
    assert Event(name="x", date=datetime(2030, 1, 1, tzinfo=UTC)).time_zone == "America/New_York"


def test_an_unknown_time_zone_is_refused(staff: Client) -> None:
    answer = staff.post("/admin/tickets/event/add/", {**FORM, "time_zone": "Middle/Earth"})
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    assert not Event.objects.exists()


def test_the_api_names_the_time_zone(staff: Client) -> None:
    staff.post("/admin/tickets/event/add/", FORM)
    shown = staff.get(f"/event/events/{Event.objects.get().pk}/").json()
    assert (shown["date"], shown["time_zone"]) == ("2030-05-01T17:30:00Z", "Europe/Berlin")


def test_the_offices_form_asks_which_of_two_equal_times_is_meant(staff: Client) -> None:
    staff.post("/admin/tickets/event/add/", FORM)
    gala = Event.objects.get()
    page = f"/office/events/{gala.pk}/edit/"
    sent = {**fields_of(staff.get(page)), "date_0": "2030-10-27", "date_1": "02:30"}
    asked = staff.post(page, sent)
    assert (asked.status_code, fields_of(asked)["date_2"]) == (400, "")
    assert "this time comes twice" in asked.content.decode()
    for which, hour in (("first", 0), ("second", 1)):
        other = fields_of(staff.get(page))
        assert staff.post(page, {**sent, **fields_of(asked), "date_2": which}).status_code == 302
        gala.refresh_from_db()
        assert gala.date == datetime(2030, 10, 27, hour, 30, tzinfo=UTC)
        asked = staff.get(page)
        assert fields_of(asked)["date_2"] == which

    outdated = staff.post(page, {**other, "name": "Ball"})
    assert "from before the clocks go back to after the clocks have gone back" in outdated.content.decode()
    assert staff.post(page, fields_of(outdated)).status_code == 302
    gala.refresh_from_db()
    assert (gala.name, gala.date) == ("Ball", datetime(2030, 10, 27, 1, 30, tzinfo=UTC))
