"""The organiser's pages of events: drafts, sales, forms with mistakes, outdated forms, copies."""

import itertools
import re
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.box_office import labels, selectors
from overlord.kernel import clock, db
from overlord.shop import formats
from tests.clients import permit
from tests.threads import together
from tickets import event_operations, operations, projections, services
from tickets.event_rules import EventStatus
from tickets.models import Event, Inventory, TicketType
from tickets.permissions import Permission
from tickets.rules import SaleEnded, UnknownTicketType
from tickets.tests.forms import Form, fields_of
from tickets.tests.reserving import claim, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "/office/events/new/"
FILLED = {
    "name": "Gala",
    "venue": "Town Hall",
    "address": "Market Square 1, 12345 Neustadt",
    "date_0": "2030-05-01",
    "date_1": "19:30",
    "ends_at_0": "2030-05-01",
    "ends_at_1": "22:00",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "type0_name": "Stalls",
    "type0_price": "15.00",
    "type0_capacity": "10",
    "type0_max_per_user": "4",
}


@pytest.fixture
def organiser(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_EVENTS, Permission.PAUSE_SALE))
    return client


@pytest.fixture
def draft(organiser: Client) -> Event:
    assert Form(organiser, NEW).send(**FILLED).status_code == 302
    return Event.objects.get(name="Gala")


def unfolded(page: Any) -> list[bool]:
    """Return which of the folded parts of a form are open."""
    return [" open" in tag for tag in re.findall(r"<details class=.more.[^>]*>", page.content.decode())]


def status_set(client: Client, event: Event, status: str) -> Any:
    event.refresh_from_db()
    sent = {"status": status, "version": event.version}
    return client.post(f"/office/events/{event.pk}/status/", sent, follow=True)


class Colleague:
    """A colleague who moves an event to another venue before a query of a person who looks at it."""

    def __init__(self, event: Event, venue: str, *, before: int) -> None:
        self.event, self.venue, self.left = event, venue, before

    def __call__(self, execute: Callable[..., Any], *query: Any) -> Any:
        self.left -= 1
        if self.left == -1:
            Event.objects.filter(pk=self.event.pk).update(venue=self.venue, version=F("version") + 1)
        return execute(*query)


class TestBesideClaims:
    """An edit writes the second type first, while a transaction locks the first and then the second."""

    def results(self, organiser: Client, ticket_type_make: Callable[..., TicketType]) -> list[Any]:
        first = ticket_type_make()
        second = ticket_type_make(event=first.event)
        date = first.event.date
        Inventory.objects.filter(pk=first.pk).update(closes_at=date - timedelta(hours=1))
        Inventory.objects.filter(pk=second.pk).update(closes_at=date)
        form = Form(organiser, f"/office/events/{first.event_id}/edit/")
        begun = threading.Event()

        def as_a_claim() -> None:
            with db.transaction():
                for each in (first, second):
                    db.rows(
                        "SELECT FROM tickets_inventory WHERE ticket_type_id = %s FOR NO KEY UPDATE", [each.pk]
                    )
                    if not begun.is_set():
                        begun.set()
                        waiting_for_a_lock(1)

        def edit() -> int:
            assert begun.wait(60)
            return int(form.send(date_0="2031-01-01", type0_capacity="7").status_code)

        return together(as_a_claim, edit)

    def test_an_edit_locks_the_inventories_in_the_order_of_claims(
        self, organiser: Client, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        assert self.results(organiser, ticket_type_make) == [None, 302]

    def test_control_without_that_order_they_deadlock(
        self,
        organiser: Client,
        ticket_type_make: Callable[..., TicketType],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(operations, "inventories_lock", lambda **_: {})
        assert self.results(organiser, ticket_type_make) != [None, 302]


class TestDraft:
    def test_a_new_event_is_a_draft_with_the_values_of_the_form(self, draft: Event) -> None:
        assert (draft.status, draft.venue, draft.time_zone) == ("draft", "Town Hall", "Europe/Berlin")
        assert draft.date.isoformat() == "2030-05-01T17:30:00+00:00"
        inventory = Inventory.objects.get(ticket_type__name="Stalls")
        assert (inventory.capacity, inventory.paused, inventory.closes_at) == (10, True, draft.date)

    def test_nobody_else_sees_a_draft(self, draft: Event, api: APIClient, buyer: User) -> None:
        ticket_type = TicketType.objects.get()
        for path in (f"/event/events/{draft.pk}/", f"/event/tickets/{ticket_type.pk}/"):
            assert api.get(path).status_code == 404
        assert api.get("/event/events/").json()["results"] == []
        assert Client().get(f"/events/{draft.pk}/").status_code == 404
        assert Client().get(f"/events/{draft.pk}/line/").status_code == 404
        assert "Gala" not in Client().get("/").content.decode()
        assert projections.project_events([draft.pk], now=clock.now()) == {}
        with pytest.raises(UnknownTicketType):
            claim(buyer.pk, ticket_type, 1)

    def test_staff_see_its_preview(self, draft: Event, organiser: Client) -> None:
        page = organiser.get(f"/office/events/{draft.pk}/preview/").content.decode()
        assert "This is a preview" in page
        assert "Market Square 1" in page

    def test_a_draft_is_put_on_sale_from_its_preview(self, draft: Event, organiser: Client) -> None:
        staff = Client(headers={"accept": "text/html"}, enforce_csrf_checks=True)
        staff.cookies = organiser.cookies
        preview = Form(staff, f"/office/events/{draft.pk}/preview/")
        sent = {"status": "on_sale", "version": preview.fields["version"]}
        assert staff.post(f"/office/events/{draft.pk}/status/", sent).status_code == 403
        sent["csrfmiddlewaretoken"] = preview.fields["csrfmiddlewaretoken"]
        answer = staff.post(f"/office/events/{draft.pk}/status/", sent, follow=True)
        assert "Buyers can see the event now." in answer.content.decode()
        assert "Put on sale" not in staff.get(f"/office/events/{draft.pk}/preview/").content.decode()

    def test_a_preview_with_the_newest_version_shows_the_newest_state(
        self, draft: Event, organiser: Client
    ) -> None:
        for nth in itertools.count():
            colleague = Colleague(draft, f"Hall number {nth}.", before=nth)
            with connection.execute_wrapper(colleague):
                page = organiser.get(f"/office/events/{draft.pk}/preview/")
            if colleague.left >= 0:  # the preview has made fewer queries
                break
            draft.refresh_from_db()
            is_newest = fields_of(page)["version"] == str(draft.version)
            assert colleague.venue in page.content.decode() or not is_newest, f"an edit before query {nth}"
        assert nth > 3

    def test_a_preview_names_the_reasons_against_going_on_sale(self, draft: Event, organiser: Client) -> None:
        Inventory.objects.update(capacity=0)
        for path in ("", "preview/"):
            page = organiser.get(f"/office/events/{draft.pk}/{path}").content.decode()
            assert "no tickets to sell" in page
            assert "Put on sale" not in page
            assert f'class="button" href="/office/events/{draft.pk}/edit/"' in page

    def test_the_database_lets_no_ticket_of_a_draft_be_sold(self, draft: Event) -> None:
        with pytest.raises(IntegrityError, match="must be paused"):
            Inventory.objects.update(paused=False)

    def test_the_database_lets_no_event_leave_the_sale_unpaused(self, ticket_type: TicketType) -> None:
        with pytest.raises(IntegrityError, match="must be paused"):
            Event.objects.update(status="cancelled")

    def test_pausing_and_resuming_puts_no_draft_on_sale(self, draft: Event) -> None:
        assert services.sale_pause(staff_id=None, event_ids=[draft.pk], paused=False, now=clock.now()) == 0


class TestStatus:
    def test_a_draft_is_put_on_sale(self, draft: Event, organiser: Client, buyer: User) -> None:
        assert "Buyers can see the event now." in status_set(organiser, draft, "on_sale").content.decode()
        shown = Client().get(f"/events/{draft.pk}/").content.decode()
        assert "Town Hall" in shown
        assert claim(buyer.pk, TicketType.objects.get(), 1).reservation["amount"] == 1

    def test_a_draft_without_tickets_or_with_a_past_date_is_not(
        self, draft: Event, organiser: Client
    ) -> None:
        Inventory.objects.update(capacity=0)
        assert "no tickets to sell" in status_set(organiser, draft, "on_sale").content.decode()
        Inventory.objects.update(capacity=1, closes_at=timezone.now() - timedelta(days=1))
        assert "have already closed" in status_set(organiser, draft, "on_sale").content.decode()
        Event.objects.update(date=timezone.now() - timedelta(days=1), ends_at=None)
        assert "has already begun" in status_set(organiser, draft, "on_sale").content.decode()
        draft.refresh_from_db()
        assert draft.status == "draft"

    def test_a_button_of_an_outdated_page_does_nothing(self, draft: Event, organiser: Client) -> None:
        old = draft.version
        Form(organiser, f"/office/events/{draft.pk}/edit/").send(name="Ball")
        sent = {"status": "on_sale", "version": old}
        answer = organiser.post(f"/office/events/{draft.pk}/status/", sent, follow=True)
        assert "Somebody has changed this event" in answer.content.decode()
        draft.refresh_from_db()
        assert draft.status == "draft"

    def test_an_event_goes_back_to_draft_until_somebody_reserves(
        self, ticket_type: TicketType, organiser: Client, buyer: User, api: APIClient
    ) -> None:
        event = ticket_type.event
        assert api.get(f"/event/events/{event.pk}/").status_code == 200  # it is cached now
        status_set(organiser, event, "draft")
        assert api.get(f"/event/events/{event.pk}/").status_code == 404
        status_set(organiser, event, "on_sale")
        claim(buyer.pk, ticket_type, 1)
        assert "cannot become a draft again" in status_set(organiser, event, "draft").content.decode()
        event.refresh_from_db()
        assert event.status == "on_sale"

    def test_a_cancelled_event_sells_nothing_and_says_so(
        self, ticket_type: TicketType, buyer: User, api: APIClient
    ) -> None:
        Inventory.objects.update(paused=True)
        Event.objects.update(status="cancelled", opening="draw")
        with pytest.raises(SaleEnded):
            claim(buyer.pk, ticket_type, 1)
        shown = api.get(f"/event/events/{ticket_type.event_id}/").json()
        assert (shown["status"], shown["sale"]) == ("cancelled", "cancelled")
        assert api.get("/event/events/").json()["results"] == []
        page = Client().get(f"/events/{ticket_type.event_id}/").content.decode()
        assert "This event is cancelled." in page
        about_selling = re.findall(r"<(?:p|form)[^>]* data-selling( hidden)?", page)
        assert about_selling == [" hidden"] * 2  # the limit per person, and the tickets on hold
        assert '<p class="notice" data-field="line" hidden>' in page


class TestForm:
    def test_mistakes_are_shown_beside_their_fields_and_nothing_is_saved(self, organiser: Client) -> None:
        wrong = {
            **FILLED,
            "name": " ",
            "ends_at_0": "2030-04-01",
            "type0_price": "15.001",
            "type0_capacity": "-1",
        }
        answer = Form(organiser, NEW).send(**wrong)
        page = answer.content.decode()
        assert answer.status_code == 400
        for field in ("id_name", "id_ends_at", "id_ticket_types-0-price", "id_ticket_types-0-capacity"):
            assert f'id="{field}_error"' in page, field
        assert not Event.objects.exists()

    @pytest.mark.parametrize(
        ("wrong", "place"),
        [
            ({"date_0": "", "date_1": ""}, "id_date_0"),
            ({"date_0": ""}, "id_date_0"),
            ({"date_1": ""}, "id_date_1"),
            ({"date_0": "2020-05-01", "ends_at_0": "", "ends_at_1": ""}, "id_date_0"),
            (
                {"type0_closes_at_0": "2020-04-01", "type0_closes_at_1": "12:00"},
                "id_ticket_types-0-closes_at_0",
            ),
        ],
    )
    def test_a_mistake_in_a_time_leads_to_the_input_where_it_is_corrected(
        self, organiser: Client, wrong: dict[str, str], place: str
    ) -> None:
        page = Form(organiser, NEW).send(**{**FILLED, **wrong}).content.decode()
        assert re.findall('<li><a href="#([^"]*)"', page) == [place]
        assert page.count(f'id="{place}"') == 1
        assert re.search(f'<input [^>]*id="{place}"', page)
        assert re.search(f'<fieldset [^>]*aria-describedby="[^"]*{place[:-2]}_error"', page)

    def test_the_currency_is_shown_beside_each_price(self, organiser: Client, draft: Event) -> None:
        currency = "Price (<span data-unit>{}</span>)".format
        assert currency("EUR") in organiser.get(NEW).content.decode()
        Event.objects.update(currency="JPY")
        assert organiser.get(f"/office/events/{draft.pk}/edit/").content.decode().count(currency("JPY")) == 2

    @pytest.mark.parametrize(
        ("past", "field"),
        [
            ({"date_0": "2020-05-01", "ends_at_0": ""}, "id_date"),
            (
                {"type0_closes_at_0": "2020-04-01", "type0_closes_at_1": "12:00"},
                "id_ticket_types-0-closes_at",
            ),
        ],
    )
    def test_a_past_time_that_somebody_enters_is_refused_beside_its_field(
        self, organiser: Client, past: dict[str, str], field: str
    ) -> None:
        given = {**FILLED, **past}
        if not given["ends_at_0"]:
            del given["ends_at_1"]
        answer = Form(organiser, NEW).send(**given)
        assert f'id="{field}_error">This time is in the past' in answer.content.decode()
        assert not Event.objects.exists()

    def test_a_copy_of_a_past_event_can_be_saved_and_says_what_to_change(
        self, draft: Event, organiser: Client
    ) -> None:
        ago = timezone.now() - timedelta(days=365)
        Event.objects.update(date=ago.replace(microsecond=0), ends_at=None)
        Inventory.objects.update(closes_at=(ago - timedelta(days=1)).replace(microsecond=0))
        edit = f"/office/events/{draft.pk}/edit/"
        page = organiser.get(edit).content.decode()
        assert page.count("Change it before you put the event on sale.") == 2
        assert Form(organiser, edit).send(name="Gala once more").status_code == 302
        event = organiser.get(f"/office/events/{draft.pk}/").content.decode()
        assert "Gala once more" in event
        assert "The event has already begun." in event
        refused = Form(organiser, edit).send(date_0="2021-05-01").content.decode()
        assert 'id="id_date_error"' in refused
        assert 'id="id_date_note"' not in refused
        assert Form(organiser, edit).send(date_0="2030-05-01").status_code == 302
        assert "have already closed" in organiser.get(f"/office/events/{draft.pk}/").content.decode()

    def test_the_sale_of_an_event_on_sale_may_be_ended_at_once(
        self, ticket_type: TicketType, organiser: Client
    ) -> None:
        edit = Form(organiser, f"/office/events/{ticket_type.event_id}/edit/")
        assert edit.send(type0_closes_at_0="2020-05-01", type0_closes_at_1="12:00").status_code == 302

    def test_an_outdated_form_saves_nothing(self, draft: Event, organiser: Client) -> None:
        address = f"/office/events/{draft.pk}/edit/"
        first, second = Form(organiser, address), Form(organiser, address)
        assert first.send(venue="Castle", type0_price="20.00").status_code == 302
        answer = second.send(name="Ball")
        page = answer.content.decode()
        assert "Venue changed from Town Hall to Castle." in page
        assert "Price of Stalls changed from 15.00 to 20.00." in page
        draft.refresh_from_db()
        assert draft.name == "Gala"
        assert second.fields["venue"] == "Castle"
        assert second.send().status_code == 302
        draft.refresh_from_db()
        assert (draft.name, draft.venue) == ("Ball", "Castle")

    def test_an_outdated_form_says_in_the_readers_words_what_others_changed(
        self, draft: Event, organiser: Client
    ) -> None:
        status_set(organiser, draft, "on_sale")
        address = f"/office/events/{draft.pk}/edit/"
        first, second = Form(organiser, address), Form(organiser, address)
        assert first.send(buyers="accounts", type0_paused="on").status_code == 302
        organiser.cookies["django_language"] = "de"
        page = second.send(name="Ball").content.decode()
        assert "vorher Alle, jetzt Nur mit Konto." in page
        assert "vorher aus, jetzt an." in page

    def test_more_rows_for_ticket_types_keep_the_written_values(self, organiser: Client) -> None:
        form = Form(organiser, NEW)
        page = form.send(**{**FILLED, "type0_price": "fifteen"}, more="1")
        fields = fields_of(page)
        assert fields["name"] == "Gala"
        assert fields["ticket_types-0-name"] == "Stalls"
        assert fields["ticket_types-1-name"] == ""
        said = page.content.decode()
        assert "Please check the form" not in said
        assert "aria-invalid" not in said, "it was not sent to be saved yet"
        assert 'id="added"' in said
        form.send(type0_price="15,50", type1_name="Balcony", type1_price="9", type1_capacity="5")
        assert [each.price_minor for each in TicketType.objects.order_by("pk")] == [1550, 900]

    def test_a_mistake_in_a_ticket_type_names_the_type(self, organiser: Client) -> None:
        second = {"type1_name": "Reduced", "type1_price": "", "type1_capacity": "5"}
        form = Form(organiser, NEW)
        form.send(**FILLED, more="1")
        page = form.send(**second).content.decode()
        assert ">Ticket type 2 (Reduced), Price: This field is required.</a>" in page
        assert "<legend>Ticket type 1 (Stalls)</legend>" in page
        assert "<legend>Ticket type 2 (Reduced)</legend>" in page

    def test_fields_with_their_usual_values_are_folded(self, organiser: Client, draft: Event) -> None:
        assert unfolded(organiser.get(NEW)) == [False, False]  # a ticket type, and the event
        edit = f"/office/events/{draft.pk}/edit/"
        # The first ticket type has a limit of 4, the second nothing yet, the event an end and an address.
        assert unfolded(organiser.get(edit)) == [True, False, True]
        form = Form(organiser, edit)
        form.send(ends_at_0="", ends_at_1="", address="", type0_max_per_user="10")
        assert unfolded(organiser.get(edit)) == [False, False, False]
        assert unfolded(Form(organiser, edit).send(type1_hidden="on", more="1"))[:2] == [False, True]
        assert unfolded(Form(organiser, edit).send(look="1"))[-1]

    def test_a_mistake_in_a_folded_field_unfolds_it_although_its_value_is_the_usual_one(
        self, ticket_type: TicketType, organiser: Client, buyer: User
    ) -> None:
        Event.objects.update(currency="USD")
        claim(buyer.pk, ticket_type, 1)
        answer = Form(organiser, f"/office/events/{ticket_type.event_id}/edit/").send(currency="EUR")
        assert 'id="id_currency_error"' in answer.content.decode()
        assert unfolded(answer)[-1]

    def test_a_capacity_below_the_held_and_sold_tickets_is_refused(
        self, ticket_type: TicketType, organiser: Client, buyer: User
    ) -> None:
        claim(buyer.pk, ticket_type, 3)
        answer = Form(organiser, f"/office/events/{ticket_type.event_id}/edit/").send(type0_capacity="2")
        assert "3 tickets are already reserved or sold." in answer.content.decode()

    @pytest.mark.parametrize("date", ["2020-05-01", "2021-05-01"])
    def test_no_event_to_come_moves_into_the_past_by_a_slip(
        self, draft: Event, organiser: Client, date: str
    ) -> None:
        status_set(organiser, draft, "on_sale")
        form = Form(organiser, f"/office/events/{draft.pk}/edit/")
        answer = form.send(date_0=date, ends_at_0="", ends_at_1="")
        assert 'id="id_date_error">This time is in the past' in answer.content.decode()
        draft.refresh_from_db()
        assert draft.date.year == 2030

    def test_the_date_of_an_event_that_has_begun_can_be_corrected(
        self, draft: Event, organiser: Client
    ) -> None:
        status_set(organiser, draft, "on_sale")
        Event.objects.update(date="2020-05-01 17:30Z", ends_at=None)
        assert (
            Form(organiser, f"/office/events/{draft.pk}/edit/").send(date_0="2020-05-02").status_code == 302
        )

    def test_a_ticket_type_is_deleted(self, draft: Event, organiser: Client) -> None:
        Form(organiser, f"/office/events/{draft.pk}/edit/").send(type0_DELETE="on")
        assert not TicketType.objects.exists()


def names() -> list[str]:
    return [each.name for each in TicketType.objects.order_by("pk")]


class TestNames:
    """The names of an event's ticket types, which are different, change in one form as its author wishes."""

    @pytest.fixture
    def edit(self, draft: Event, organiser: Client) -> Form:
        """Return the form of an event with the types Stalls, Balcony and Gallery."""
        address = f"/office/events/{draft.pk}/edit/"
        for number, name in enumerate(("Balcony", "Gallery"), start=1):
            added = {"name": name, "price": "9", "capacity": "5", "max_per_user": "4"}
            form = Form(organiser, address)
            assert form.send(**{f"type{number}_{each}": added[each] for each in added}).status_code == 302
        return Form(organiser, address)

    @pytest.mark.parametrize(
        "wanted",
        [
            ["Balcony", "Stalls", "Gallery"],
            ["Gallery", "Stalls", "Balcony"],
            ["Balcony", "Gallery", "Lodge"],
            ["BALCONY", "stalls", "Gallery"],
        ],
    )
    def test_types_take_each_others_names(self, edit: Form, wanted: list[str]) -> None:
        sent = {f"type{number}_name": name for number, name in enumerate(wanted)}
        assert edit.send(**sent).status_code == 302
        assert names() == wanted

    def test_a_type_takes_the_name_of_one_that_is_deleted_and_a_new_type_a_name_that_is_given_up(
        self, edit: Form
    ) -> None:
        added = {"name": "Stalls", "price": "9", "capacity": "5", "max_per_user": "4"}
        sent = {f"type3_{each}": added[each] for each in added}
        assert edit.send(type0_name="Balcony", type1_DELETE="on", **sent).status_code == 302
        assert names() == ["Balcony", "Gallery", "Stalls"]

    def test_a_name_that_another_type_keeps_is_refused_beside_its_field(self, edit: Form) -> None:
        page = edit.send(type0_name="balcony").content.decode()
        assert 'id="id_ticket_types-1-name_error">Another ticket type of this event has this name.' in page
        assert names() == ["Stalls", "Balcony", "Gallery"]

    def test_the_database_has_the_last_word_about_names(self, edit: Form) -> None:
        """A form that does not send all types is compared with the others by the database."""
        for field in [each for each in edit.fields if each.startswith("ticket_types-2-")]:
            edit.fields[field.replace("-2-", "-1-")] = edit.fields[field]
        edit.fields |= {"ticket_types-TOTAL_FORMS": "2", "ticket_types-INITIAL_FORMS": "2"}
        page = edit.send(type0_name="Balcony").content.decode()
        assert "Two ticket types of an event cannot have the same name." in page
        assert names() == ["Stalls", "Balcony", "Gallery"]


def test_the_place_of_a_time_zone_is_enough_also_for_the_times_of_the_form(organiser: Client) -> None:
    assert Form(organiser, NEW).send(**{**FILLED, "time_zone": "new york"}).status_code == 302
    event = Event.objects.get()
    assert (event.time_zone, event.date.isoformat()) == ("America/New_York", "2030-05-01T23:30:00+00:00")
    page = Form(organiser, f"/office/events/{event.pk}/edit/").send(time_zone="nowhere").content.decode()
    assert 'id="id_time_zone_error">There is no such time zone.' in page


def test_a_copy_is_a_draft_with_the_same_types(ticket_type: TicketType, organiser: Client) -> None:
    event = ticket_type.event
    answer = organiser.post(f"/office/events/{event.pk}/copy/")
    copied = Event.objects.exclude(pk=event.pk).get()
    assert answer["Location"] == f"/office/events/{copied.pk}/edit/"
    assert (copied.status, copied.name, copied.date) == ("draft", event.name, event.date)
    made = TicketType.objects.get(event=copied)
    assert (made.name, made.inventory.capacity, made.inventory.sold) == (ticket_type.name, 50, 0)
    assert Inventory.objects.get(pk=ticket_type.pk).paused is False


def test_an_event_on_sale_has_a_line_for_the_organisers_own_site(
    draft: Event, organiser: Client, settings: Any
) -> None:
    settings.BASE_URL = "https://tickets.example.org"
    tag = f"src=&quot;https://tickets.example.org/static/tickets/widget.js?event={draft.pk}&quot;"
    assert tag not in organiser.get(f"/office/events/{draft.pk}/").content.decode()
    status_set(organiser, draft, "on_sale")
    assert tag in organiser.get(f"/office/events/{draft.pk}/").content.decode()


@pytest.mark.parametrize(
    ("event", "inventory", "first"),
    [
        ({"status": "draft"}, {"paused": True}, "See the preview"),
        ({"status": "draft"}, {"paused": True, "capacity": 0}, "Edit"),
        ({}, {}, "Sell at the counter"),
        ({}, {"paused": True}, "Resume the sale"),
        ({}, {"opens_at": timezone.now() + timedelta(days=1)}, "Page for buyers"),
        ({}, {"closes_at": timezone.now()}, "Attendees"),
        ({}, {"capacity": 0}, "Attendees"),
        ({"status": "cancelled"}, {"paused": True}, "Refunds for the cancelled event"),
    ],
)
def test_the_page_of_an_event_first_offers_the_actions_for_its_state(
    user_make: Callable[..., User],
    ticket_type: TicketType,
    event: dict[str, Any],
    inventory: dict[str, Any],
    first: str,
) -> None:
    Inventory.objects.update(**inventory)
    Event.objects.update(**event)
    client = Client(headers={"accept": "text/html"})
    client.force_login(user_make(is_staff=True, is_superuser=True))
    page = client.get(f"/office/events/{ticket_type.event_id}/").content.decode()
    deeds = page.partition('class="row deeds"')[2].partition("</div>")[0]
    main = [
        *re.findall(r'class="button" href="[^"]*">([^<]*)<', deeds),
        *re.findall('<button(?![^>]*class="quiet")[^>]*>([^<]*)<', deeds),
    ]
    assert main == [first]


PAST, LATER = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("one", "other", "label"),
    [
        ({}, {"opens_at": LATER}, "On sale"),
        ({"opens_at": LATER}, {"opens_at": LATER}, "Sale not open yet"),
        ({"opens_at": LATER}, {"closes_at": PAST}, "Sale not open yet"),
        ({"paused": True}, {"closes_at": PAST}, "Sale paused"),
        ({"paused": True, "paused_alone": True}, {"opens_at": LATER}, "Sale not open yet"),
        ({"paused": True, "paused_alone": True}, {"sold": 50}, "Sold out"),
        ({"sold": 50}, {"closes_at": PAST}, "Sold out"),
        ({"sold": 50}, {"opens_at": LATER}, "Sold out"),
        ({"sold": 50}, {}, "On sale"),
    ],
)
def test_the_state_is_that_of_the_types_whose_sale_is_open(
    ticket_type: TicketType,
    ticket_type_make: Callable[..., TicketType],
    organiser: Client,
    one: dict[str, Any],
    other: dict[str, Any],
    label: str,
) -> None:
    Inventory.objects.filter(pk=ticket_type.pk).update(**one)
    second = ticket_type_make(event=ticket_type.event)
    Inventory.objects.filter(pk=second.pk).update(**other)
    assert (
        labels.of_event(selectors.event(event_id=ticket_type.event_id, now=clock.now()), now=clock.now()).text
        == label
    )
    assert label in organiser.get("/office/").content.decode()


@pytest.mark.parametrize("paused", [True, False])
def test_a_sale_that_has_not_opened_can_be_paused_and_resumed(
    ticket_type: TicketType, organiser: Client, paused: bool
) -> None:
    Inventory.objects.update(opens_at=LATER, paused=paused)
    page = organiser.get(f"/events/{ticket_type.event_id}/sale/").content.decode()
    assert ("Resume ticket sales?" in page) == paused
    organiser.post(f"/events/{ticket_type.event_id}/sale/", {"paused": "" if paused else "yes"})
    assert Inventory.objects.get().paused is not paused


def test_a_sale_that_has_ended_is_neither_paused_nor_resumed(
    ticket_type: TicketType, organiser: Client
) -> None:
    page, link = f"/office/events/{ticket_type.event_id}/", f"/events/{ticket_type.event_id}/sale/"
    assert link in organiser.get(page).content.decode()  # the control
    Inventory.objects.update(closes_at=PAST)
    assert link not in organiser.get(page).content.decode()


@pytest.mark.parametrize("days", [-15, 15])
def test_an_event_and_its_opening_move_together(
    ticket_type: TicketType, organiser: Client, days: int
) -> None:
    """Check that the sale still opens on the day before the event and ends when the event begins."""
    before = Event.objects.get().date.replace(hour=20, minute=0, second=0, microsecond=0)
    Event.objects.update(date=before, time_zone="UTC")
    Inventory.objects.update(opens_at=before - timedelta(days=1), closes_at=before)
    after = before + timedelta(days=days)
    opening = after - timedelta(days=1)
    form = Form(organiser, f"/office/events/{ticket_type.event_id}/edit/")
    answer = form.send(
        date_0=f"{after:%Y-%m-%d}", date_1="20:00",
        type0_opens_at_0=f"{opening:%Y-%m-%d}", type0_opens_at_1="20:00",
    )  # fmt: skip
    assert answer.status_code == 302
    inventory = Inventory.objects.get()
    assert (Event.objects.get().date, inventory.opens_at, inventory.closes_at) == (after, opening, after)


def test_the_list_shows_state_and_sales(ticket_type: TicketType, draft: Event, organiser: Client) -> None:
    page = organiser.get("/office/").content.decode()
    assert "Draft" in page
    assert "On sale" in page
    assert ticket_type.event.name in page
    assert "Gala" not in organiser.get("/office/?when=past").content.decode()
    assert "Gala" in organiser.get("/office/?q=town").content.decode()
    for page_number in ("0", "x", "99999999999999999999"):
        assert organiser.get(f"/office/?page={page_number}").status_code == 200


def test_an_event_is_coming_until_it_has_ended_and_sells_no_more(
    organiser: Client, ticket_type: TicketType
) -> None:
    event, now = Event.objects.filter(pk=ticket_type.event_id), timezone.now()

    def lists() -> list[str]:
        return [
            when
            for when in ("", "past")
            if ticket_type.event.name in organiser.get(f"/office/?when={when}").content.decode()
        ]

    before, later = now - timedelta(hours=1), now + timedelta(days=1)
    found = []
    for ends_at, closes_at in (
        (None, before),
        (before, before),
        (later, before),
        (None, later),
        (before, later),
    ):
        event.update(date=now - timedelta(days=2), ends_at=ends_at)
        Inventory.objects.update(closes_at=closes_at)
        found.append(lists())

    assert found == [["past"], ["past"], [""], [""], [""]]


@pytest.mark.parametrize(
    ("status", "ends_after", "closes_after", "said"),
    [
        ("on_sale", None, timedelta(0), None),
        ("on_sale", None, timedelta(hours=1), "after the event has begun"),
        ("draft", None, timedelta(hours=1), "after the event has begun"),
        ("cancelled", None, timedelta(hours=1), None),
        ("on_sale", timedelta(hours=2), timedelta(hours=2), None),
        ("on_sale", timedelta(hours=2), timedelta(days=30), "after the event has ended"),
    ],
)
def test_the_page_says_which_sales_go_on_when_the_event_is_over(
    organiser: Client,
    ticket_type: TicketType,
    status: str,
    ends_after: timedelta | None,
    closes_after: timedelta,
    said: str | None,
) -> None:
    date, name = ticket_type.event.date, ticket_type.name
    ends_at = None if ends_after is None else date + ends_after
    Inventory.objects.update(paused=status != "on_sale", closes_at=date + closes_after)
    Event.objects.update(status=status, ends_at=ends_at)
    page = organiser.get(f"/office/events/{ticket_type.event_id}/").content.decode()

    assert re.findall(f"The sale of {name} closes on .*, (.*)\\.<", page) == ([said] if said else [])
    shown = "" if ends_at is None else f" – {formats.date_time(ends_at, 'UTC')}"
    assert f"{formats.date_time(date, 'UTC')}{shown}</p>" in page


@pytest.mark.parametrize("path", ["/office/", "/office/events/{event}/", "/office/events/{event}/edit/"])
def test_the_number_of_queries_does_not_grow(
    path: str, organiser: Client, ticket_type_make: Callable[..., TicketType]
) -> None:
    event = ticket_type_make().event
    address = path.format(event=event.pk)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert organiser.get(address).status_code == 200
        return len(queries)

    count()
    few = count()
    for _ in range(5):
        ticket_type_make()
        ticket_type_make(event=event)
    assert count() == few


class TestDescription:
    TEXT = "Come **early**\n\n- tea\n\n<script>alert(1)</script>"

    def test_a_description_is_shown_with_its_marks_and_returned_as_written(
        self, draft: Event, organiser: Client, api: APIClient
    ) -> None:
        Form(organiser, f"/office/events/{draft.pk}/edit/").send(description=self.TEXT)
        status_set(organiser, draft, "on_sale")
        page = Client().get(f"/events/{draft.pk}/").content.decode()
        assert "Come <strong>early</strong>" in page
        assert "<script>alert" not in page
        assert 'content="Come early tea &lt;script&gt;alert(1)&lt;/script&gt;"' in page
        assert f'data-length="{len(self.TEXT)}"' in page
        assert api.get(f"/event/events/{draft.pk}/").json()["description"] == self.TEXT

    def test_the_form_previews_a_description_and_saves_nothing(self, organiser: Client) -> None:
        answer = Form(organiser, NEW).send(**FILLED, description=self.TEXT, look="1")
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "Come <strong>early</strong>" in page
        assert "<script>alert" not in page
        assert (fields_of(answer)["description"], fields_of(answer)["name"]) == (self.TEXT, "Gala")
        assert "ticket_types-1-name" not in fields_of(answer)
        assert not Event.objects.exists()

    def test_the_enter_key_saves(self, organiser: Client) -> None:
        page = organiser.get(NEW).content.decode()
        form = page[page.index('<form class="stack sheet"') :]
        first = form[form.index("<button") : form.index("</button>")]
        assert "name=" not in first

    def test_a_description_that_is_too_long_is_refused_beside_its_field(self, organiser: Client) -> None:
        most = "x" * 10_000
        answer = Form(organiser, NEW).send(**FILLED, description=f"{most}x")
        assert 'id="id_description_error"' in answer.content.decode()
        assert Form(organiser, NEW).send(**FILLED, description=most).status_code == 302


def test_an_event_that_opens_by_a_draw_leads_to_its_lines_desk(
    user_make: Callable[..., User], ticket_type: TicketType
) -> None:
    page, desk = f"/office/events/{ticket_type.event_id}/", f"/events/{ticket_type.event_id}/line/desk/"
    client = Client(headers={"accept": "text/html"})
    client.force_login(user_make(is_staff=True, is_superuser=True))
    assert desk not in client.get(page).content.decode()

    Event.objects.filter(pk=ticket_type.event_id).update(opening="draw")

    assert desk in client.get(page).content.decode()


@pytest.mark.parametrize(
    ("path", "zone", "asks"), [(NEW, "UTC", True), (NEW, "Europe/Berlin", False), ("edit", "UTC", False)]
)
def test_only_a_new_event_gets_the_browsers_time_zone_and_only_if_none_is_set(
    organiser: Client, ticket_type: TicketType, settings: Any, path: str, zone: str, asks: bool
) -> None:
    settings.TIME_ZONE = zone
    address = path if path == NEW else f"/office/events/{ticket_type.event_id}/edit/"
    assert ("box_office/new-event" in organiser.get(address).content.decode()) == asks
    answer = organiser.post(address, {"more": "1", "time_zone": "UTC"})
    assert "box_office/new-event" not in answer.content.decode()  # the author has seen it


def paused_types() -> set[str]:
    return {*TicketType.objects.filter(inventory__paused=True).values_list("name", flat=True)}


class TestPauses:
    """A ticket type that was paused by itself stays paused when the sale of its event is resumed."""

    @pytest.fixture
    def event(self, draft: Event, organiser: Client) -> Event:
        """Return an event on sale with two ticket types, of which VIP is paused by itself."""
        form = Form(organiser, f"/office/events/{draft.pk}/edit/")
        form.send(type1_name="VIP", type1_price="60", type1_capacity="5")
        status_set(organiser, draft, "on_sale")
        self.edit(organiser, draft, type1_paused="on")
        assert paused_types() == {"VIP"}
        return draft

    def edit(self, organiser: Client, event: Event, **changes: str) -> None:
        assert Form(organiser, f"/office/events/{event.pk}/edit/").send(**changes).status_code == 302

    def press(self, organiser: Client, event: Event, paused: str) -> str:
        """Pause or resume the sale, and return the page that says so."""
        sent = {"paused": paused, "next": f"/office/events/{event.pk}/"}
        return str(organiser.post(f"/events/{event.pk}/sale/", sent, follow=True).content.decode())

    def test_it_stays_paused_however_often_resume_is_pressed(self, event: Event, organiser: Client) -> None:
        self.press(organiser, event, "yes")
        assert paused_types() == {"Stalls", "VIP"}
        page = organiser.get(f"/events/{event.pk}/sale/").content.decode()
        assert "Resume ticket sales?" in page
        assert "These ticket types were paused one by one: VIP." in page
        self.press(organiser, event, "no")
        form = Form(organiser, f"/office/events/{event.pk}/edit/")
        told = self.press(organiser, event, "no")
        assert "paused one by one and stay paused: VIP." in told
        assert told.count("(paused)") == 1
        assert paused_types() == {"VIP"}
        assert form.send().status_code == 302, "what changes nothing makes no form outdated"

    def test_it_can_be_resumed_by_itself(self, event: Event, organiser: Client) -> None:
        form = Form(organiser, f"/office/events/{event.pk}/edit/")
        del form.fields["ticket_types-1-paused"]
        assert form.send().status_code == 302
        assert paused_types() == set()
        self.press(organiser, event, "yes")
        assert "stay paused" not in self.press(organiser, event, "no")
        assert paused_types() == set()

    def test_another_edit_during_the_pause_leaves_it_paused_with_the_event(
        self, event: Event, organiser: Client
    ) -> None:
        self.press(organiser, event, "yes")
        self.edit(organiser, event, type0_capacity="7", type1_capacity="7")
        self.press(organiser, event, "no")
        assert paused_types() == {"VIP"}

    def test_it_stays_paused_while_the_event_is_a_draft(self, event: Event, organiser: Client) -> None:
        status_set(organiser, event, "draft")
        status_set(organiser, event, "on_sale")
        assert paused_types() == {"VIP"}

    def test_a_sale_that_stands_still_because_of_such_types_alone_is_resumed(
        self, event: Event, organiser: Client
    ) -> None:
        self.edit(organiser, event, type0_paused="on")
        page = organiser.get(f"/events/{event.pk}/sale/").content.decode()
        assert "Resume ticket sales?" in page
        assert "one by one" not in page
        self.press(organiser, event, "no")
        assert paused_types() == set()

    def test_a_type_that_is_added_during_the_pause_is_paused_with_the_event(
        self, event: Event, organiser: Client
    ) -> None:
        for name, paused in (("Balcony", {"VIP"}), ("Gallery", {"VIP", "Stalls", "Balcony", "Gallery"})):
            number = TicketType.objects.count()
            added = {"name": name, "price": "9", "capacity": "5", "max_per_user": "4"}
            self.edit(organiser, event, **{f"type{number}_{field}": text for field, text in added.items()})
            assert paused_types() == paused
            self.press(organiser, event, "yes")
        self.press(organiser, event, "no")
        assert paused_types() == {"VIP"}

    @pytest.mark.parametrize("paused", ["yes", "no"])
    def test_nobody_is_told_that_the_sale_of_a_cancelled_event_was_resumed(
        self, event: Event, organiser: Client, paused: str
    ) -> None:
        with db.transaction():
            locked = event_operations.event_lock(event_id=event.pk)
            assert locked is not None
            event_operations.event_status_set(event=locked, status=EventStatus.CANCELLED, now=clock.now())
        told = self.press(organiser, event, paused)
        assert "was cancelled. Nothing was changed." in told
        assert "Ticket sales for" not in told
        page = organiser.get(f"/events/{event.pk}/sale/?next=/office/", follow=True)
        assert "Resume ticket sales?" not in page.content.decode()

    def test_a_sale_with_such_a_type_can_be_paused_before_it_opens(
        self, event: Event, organiser: Client
    ) -> None:
        Inventory.objects.filter(paused=False).update(opens_at=LATER)
        page = organiser.get(f"/events/{event.pk}/sale/").content.decode()
        assert "Pause ticket sales?" in page


@pytest.mark.parametrize(("closes", "refused"), [({}, True), ({"type0_closes_at_1": "18:30"}, False)])
def test_an_earlier_date_does_not_leave_a_sale_open_after_the_event_begins(
    draft: Event, organiser: Client, closes: dict[str, str], refused: bool
) -> None:
    edit = f"/office/events/{draft.pk}/edit/"
    Form(organiser, edit).send(type0_closes_at_0="2030-05-01", type0_closes_at_1="18:00")
    for date in ("2030-05-01", "2030-05-02"):  # as before, and a later one
        assert Form(organiser, edit).send(date_0=date, ends_at_0="", ends_at_1="").status_code == 302

    answer = Form(organiser, edit).send(date_0="2030-04-30", **closes)

    assert ("The event would begin before this time" in answer.content.decode()) == refused
    draft.refresh_from_db()
    assert (draft.date.day == 2) == refused
    allowed = Form(organiser, edit).send(date_0="2030-04-30", type0_closes_at_0="", type0_closes_at_1="")
    assert allowed.status_code == 302
    assert Inventory.objects.get().closes_at == Event.objects.get().date


BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("changes", "ends_at", "is_said"),
    [
        ({"date_0": "2030-05-08"}, datetime(2030, 5, 8, 22, tzinfo=BERLIN), True),
        ({"date_0": "2030-04-24", "date_1": "18:00"}, datetime(2030, 4, 24, 20, 30, tzinfo=BERLIN), True),
        ({"date_0": "2030-11-06"}, datetime(2030, 11, 6, 22, tzinfo=BERLIN), True),
        ({"date_0": "2030-05-08", "ends_at_0": "2030-05-09"}, datetime(2030, 5, 9, 22, tzinfo=BERLIN), False),
        ({"ends_at_1": "23:00"}, datetime(2030, 5, 1, 23, tzinfo=BERLIN), False),
        ({"date_0": "2030-05-08", "ends_at_0": "", "ends_at_1": ""}, None, False),
        ({"time_zone": "America/New_York"}, datetime(2030, 5, 1, 22, tzinfo=NEW_YORK), False),
        (
            {"time_zone": "America/New_York", "date_0": "2030-05-08"},
            datetime(2030, 5, 8, 22, tzinfo=NEW_YORK),
            True,
        ),
    ],
)
@pytest.mark.parametrize("is_admin", [True, False])
def test_the_end_of_an_event_moves_with_its_beginning_if_the_form_leaves_it_as_it_was(
    draft: Event,
    organiser: Client,
    user_make: Callable[..., User],
    is_admin: bool,
    changes: dict[str, str],
    ends_at: datetime | None,
    is_said: bool,
) -> None:
    """The event begins at 19:30 and ends at 22:00 in Berlin."""
    client, page = organiser, f"/office/events/{draft.pk}/"
    edit = f"{page}edit/"
    if is_admin:
        client, page = Client(), "/admin/tickets/event/"
        client.force_login(user_make(is_staff=True, is_superuser=True))
        edit = f"{page}{draft.pk}/change/"
    assert Form(client, edit).send(**changes).status_code == 302

    draft.refresh_from_db()
    assert draft.ends_at == ends_at
    assert draft.calendar_version == 1
    shown = client.get(page).content.decode()
    assert ("moved by the same time" in shown) == is_said


@pytest.mark.parametrize("day", ["30", "29"])
def test_an_end_of_a_sale_that_is_set_with_an_earlier_date_stays(
    draft: Event, organiser: Client, day: str
) -> None:
    """The event is moved to April, and one of its sales ends when the event would have begun, or a day before."""
    edit = f"/office/events/{draft.pk}/edit/"
    no_end = {"ends_at_0": "", "ends_at_1": ""}
    added = {"name": "Balcony", "price": "9", "capacity": "5", "max_per_user": "4"}
    Form(organiser, edit).send(
        **{f"type1_{each}": added[each] for each in added}, date_0="2030-04-30", **no_end
    )
    sent = {"type1_closes_at_0": f"2030-04-{day}", "type1_closes_at_1": "19:30"}
    assert Form(organiser, edit).send(date_0="2030-04-12", **sent).status_code == 302
    draft.refresh_from_db()
    ends = [each.closes_at for each in Inventory.objects.order_by("pk")]
    assert ends == [draft.date, draft.date + timedelta(days=int(day) - 12)]
