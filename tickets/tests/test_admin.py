"""The admin's forms for events: prices by their own currency, outdated forms refused, no number that overflows."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.db import DataError, IntegrityError, connection
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags

from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import permit
from tests.threads import together
from tickets import event_operations, event_selectors, operations, services
from tickets.limits import of_buyer
from tickets.models import Event, Inventory, TicketType
from tickets.sql import CLAIM_ORDER
from tickets.tests.forms import Form
from tickets.tests.reserving import claim, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/tickets/event/add/"
LIST = "/admin/tickets/event/"


@pytest.fixture
def staff(user_make: Callable[..., User]) -> Client:
    client = Client()
    client.force_login(user_make(is_staff=True, is_superuser=True))
    return client


def add(client: Client, **changes: str) -> Any:
    form = Form(client, ADD)
    start = {
        "name": "Gala",
        "date_0": "2030-05-01",
        "date_1": "19:30:00",
        "type0_name": "VIP",
        "type0_price": "15.00",
        "type0_capacity": "10",
    }
    return form.send(**{**start, **changes})


def change(client: Client, event: Event) -> Form:
    return Form(client, f"/admin/tickets/event/{event.pk}/change/")


def said(answer: Any) -> str:
    return " ".join(strip_tags(answer.content.decode()).split())


class TestPrices:
    @pytest.mark.parametrize(
        ("currency", "text", "minor"),
        [("EUR", "15.00", 1500), ("JPY", "1500", 1500), ("KWD", "1.500", 1500), ("jpy", "1500", 1500)],
    )
    def test_a_new_events_prices_have_its_own_currencys_digits(
        self, staff: Client, currency: str, text: str, minor: int
    ) -> None:
        assert add(staff, currency=currency, type0_price=text).status_code == 302
        assert TicketType.objects.get().price_minor == minor
        assert Event.objects.get().currency == currency.upper()

    @pytest.mark.parametrize(
        ("currency", "text"),
        [
            ("JPY", "15.00"),
            ("EUR", "1.005"),
            ("EUR", "-1"),
            ("EUR", "1e3"),
            ("EUR", "１５"),
            ("EUR", "1e999999"),
        ],
    )
    def test_a_price_that_its_currency_cannot_have_is_refused(
        self, staff: Client, currency: str, text: str
    ) -> None:
        answer = add(staff, currency=currency, type0_price=text)
        assert (answer.status_code, Event.objects.count()) == (200, 0)

    @pytest.mark.parametrize("currency", ["DEM", "XXX", "XAU", "EURO", ""])
    def test_a_currency_that_nobody_pays_in_is_refused(self, staff: Client, currency: str) -> None:
        assert (add(staff, currency=currency).status_code, Event.objects.count()) == (200, 0)

    def test_with_another_currency_every_price_is_read_again(
        self, staff: Client, ticket_type: TicketType
    ) -> None:
        form = change(staff, ticket_type.event)
        assert "too many decimal places for JPY" in said(form.send(currency="JPY"))
        assert form.send(type0_price="1500").status_code == 302
        ticket_type.refresh_from_db()
        assert (ticket_type.price_minor, Event.objects.get().currency) == (1500, "JPY")


class TestTheCurrency:
    def test_the_currency_is_fixed_once_tickets_were_reserved(
        self, staff: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        held = claim(buyer.pk, ticket_type).reservation["id"]
        services.reservation_release(buyer_id=buyer.pk, reservation_id=held)

        answer = change(staff, ticket_type.event).send(currency="KWD", type0_price="1.500")
        assert "tickets were reserved in EUR" in said(answer)
        with pytest.raises(IntegrityError, match="reserved in its old currency"):
            Event.objects.update(currency="KWD")
        assert Event.objects.get().currency == "EUR"

    def test_a_reservation_keeps_its_price_and_currency(
        self, staff: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        held = claim(buyer.pk, ticket_type, 2).reservation["id"]
        assert change(staff, ticket_type.event).send(type0_price="45.00").status_code == 302
        with connection.cursor() as cursor:  # without the guard of the test above
            cursor.execute("ALTER TABLE tickets_event DISABLE TRIGGER event_currency_fixed")
        try:
            Event.objects.update(currency="KWD")
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE tickets_event ENABLE TRIGGER event_currency_fixed")

        shown = services.reservation_get(buyer_id=buyer.pk, reservation_id=held, now=timezone.now())
        assert (shown["total"], shown["currency"]) == ("30.00", "EUR")

    def test_a_change_waits_for_a_claim_and_is_refused(self, buyer: User, ticket_type: TicketType) -> None:
        claimed = threading.Event()

        def first_claim() -> None:
            with db.transaction():
                one = "SELECT FROM reservation_claim(%s, %s, 1, NULL, '15 minutes')"
                db.rows(one, [buyer.pk, ticket_type.pk])
                claimed.set()
                waiting_for_a_lock(1)

        def change_it() -> int:
            claimed.wait(30)
            return Event.objects.update(currency="KWD")

        committed, changed = together(first_claim, change_it)

        assert committed is None
        assert db.violated(changed) == "event_currency_fixed"

    def test_a_claim_waits_for_a_change_and_is_in_the_new_currency(
        self, buyer: User, ticket_type: TicketType
    ) -> None:
        changed = threading.Event()

        def first_change() -> None:
            with db.transaction():
                Event.objects.update(currency="KWD")
                changed.set()
                waiting_for_a_lock(1)

        def claim_it() -> str:
            changed.wait(30)
            return str(claim(buyer.pk, ticket_type).reservation["currency"])

        assert together(first_change, claim_it) == [None, "KWD"]


class TestOutdatedForms:
    def test_nothing_is_saved_and_the_author_reads_what_changed(
        self, staff: Client, ticket_type: TicketType
    ) -> None:
        event = ticket_type.event
        mine, theirs = change(staff, event), change(staff, event)
        assert theirs.send(type0_capacity="500", type0_paused="on").status_code == 302

        answer = mine.send(name="Gala, corrected")
        assert "Nothing was saved" in said(answer)
        assert f"Capacity of {ticket_type.name} changed from 50 to 500." in said(answer)
        assert f"Pause of {ticket_type.name} changed from off to on." in said(answer)
        assert Event.objects.get().name == event.name

        assert mine.send().status_code == 302  # the author has read it and saves again
        inventory = Inventory.objects.get()
        assert (inventory.capacity, inventory.paused) == (500, True)
        assert Event.objects.get().name == "Gala, corrected"

    def test_two_authors_of_one_field_do_not_overwrite_each_other(
        self, staff: Client, ticket_type: TicketType
    ) -> None:
        mine, theirs = change(staff, ticket_type.event), change(staff, ticket_type.event)
        theirs.send(type0_price="20.00")
        answer = mine.send(type0_price="30.00")
        assert f"Price of {ticket_type.name} changed from 15.00 to 20.00." in said(answer)
        assert TicketType.objects.get().price_minor == 2000
        assert mine.fields["ticket_types-0-price"] == "30.00"

    def test_a_sale_meanwhile_is_no_edit(self, staff: Client, buyer: User, ticket_type: TicketType) -> None:
        mine = change(staff, ticket_type.event)
        claim(buyer.pk, ticket_type, 2)
        assert mine.send(name="Gala").status_code == 302
        assert Inventory.objects.get().held == 2

    def test_a_pause_by_another_page_counts(self, staff: Client, ticket_type: TicketType) -> None:
        mine = change(staff, ticket_type.event)
        services.sale_pause(staff_id=None, event_ids=[ticket_type.event_id], paused=True, now=timezone.now())
        assert "Pause of" in said(mine.send(name="Gala"))
        assert mine.send().status_code == 302
        assert Inventory.objects.get().paused

    def test_a_ticket_type_that_was_added_or_deleted_meanwhile_is_named(
        self, staff: Client, ticket_type: TicketType
    ) -> None:
        mine, theirs = change(staff, ticket_type.event), change(staff, ticket_type.event)
        theirs.send(type0_DELETE="on", type1_name="New", type1_price="1.00", type1_capacity="5")
        answer = mine.send(type0_price="30.00")
        assert f"Ticket type {ticket_type.name} was deleted." in said(answer)
        assert "Ticket type New was added." in said(answer)
        assert mine.send(name="Gala").status_code == 302
        assert [(each.name, each.price_minor) for each in TicketType.objects.all()] == [("New", 100)]

    def test_a_form_without_its_origin_is_refused(self, staff: Client, ticket_type: TicketType) -> None:
        mine = change(staff, ticket_type.event)
        for forged in ("", "x", change(staff, _another_event()).fields["made_from"]):
            assert mine.send(name="Gala", made_from=forged).status_code == 200
        assert Event.objects.get(pk=ticket_type.event_id).name != "Gala"

    def test_two_saves_at_once_save_one(self, staff: Client, ticket_type: TicketType) -> None:
        forms = [change(staff, ticket_type.event) for _ in range(3)]
        answers = together(
            *[lambda form=form, n=n: form.send(type0_capacity=str(60 + n)) for n, form in enumerate(forms)]
        )
        assert sorted(answer.status_code for answer in answers) == [200, 200, 302]

    def test_only_changed_fields_are_written(
        self, staff: Client, ticket_type: TicketType, django_assert_num_queries: Any
    ) -> None:
        mine = change(staff, ticket_type.event)
        with connection.execute_wrapper(_no_write_to("capacity")):
            assert mine.send(type0_price="30.00").status_code == 302


def _another_event() -> Event:
    return Event.objects.create(name="Another", date=timezone.now() + timedelta(days=9))


def _no_write_to(column: str) -> Any:
    def check(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        assert not (sql.startswith("UPDATE") and f'"{column}" =' in sql), sql
        return execute(sql, params, many, context)

    return check


class TestDates:
    def test_a_postponed_event_takes_its_sales_along(self, staff: Client, ticket_type: TicketType) -> None:
        answer = change(staff, ticket_type.event).send(
            date_0="2031-01-01", date_1="20:00:00", type0_capacity="70"
        )
        assert answer.status_code == 302
        inventory = Inventory.objects.get()
        assert (inventory.capacity, inventory.closes_at) == (70, datetime(2031, 1, 1, 20, tzinfo=UTC))

    def test_a_closing_time_that_was_set_stays(self, staff: Client, ticket_type: TicketType) -> None:
        change(staff, ticket_type.event).send(type0_closes_at_0="2020-12-01", type0_closes_at_1="12:00:00")
        change(staff, ticket_type.event).send(date_0="2031-01-01")
        assert Inventory.objects.get().closes_at == datetime(2020, 12, 1, 12, tzinfo=UTC)

    def test_an_emptied_closing_time_is_the_events_date(self, staff: Client, ticket_type: TicketType) -> None:
        change(staff, ticket_type.event).send(type0_closes_at_0="2020-12-01", type0_closes_at_1="12:00:00")
        change(staff, ticket_type.event).send(type0_closes_at_0="", type0_closes_at_1="")
        assert Inventory.objects.get().closes_at == Event.objects.get().date

    @pytest.mark.parametrize("year", ["0001", "1899", "2200", "9999"])
    def test_a_year_beyond_the_bounds_is_refused(self, staff: Client, year: str) -> None:
        for name in ("date_0", "type0_opens_at_0", "type0_closes_at_0"):
            times = {f"{name[:-2]}_1": "12:00:00"}
            answer = add(staff, **{**times, name: f"{year}-12-31"})
            assert (answer.status_code, Event.objects.count()) == (200, 0), name

    @pytest.mark.parametrize("date", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+00:00"])
    def test_the_database_has_the_last_word(self, date: str, ticket_type: TicketType) -> None:
        for statement in (
            "UPDATE tickets_event SET date = %s",
            "UPDATE tickets_inventory SET opens_at = %s",
            "UPDATE tickets_inventory SET closes_at = %s",
        ):
            with pytest.raises(IntegrityError):
                db.rows(statement, [date])

    def test_a_sale_that_opens_after_it_closes_is_refused(self, staff: Client) -> None:
        answer = add(staff, type0_opens_at_0="2030-05-02", type0_opens_at_1="10:00:00")
        assert "must open before it closes" in said(answer)
        answer = add(
            staff,
            type0_opens_at_0="2030-04-02",
            type0_opens_at_1="10:00:00",
            type0_closes_at_0="2030-04-02",
            type0_closes_at_1="09:00:00",
        )
        assert "must open before it closes" in said(answer)
        assert Event.objects.count() == 0

    def test_an_event_moved_before_its_sale_opens_is_refused(
        self, staff: Client, ticket_type: TicketType
    ) -> None:
        opening = ticket_type.event.date - timedelta(days=9)
        times = {"type0_opens_at_0": f"{opening:%Y-%m-%d}", "type0_opens_at_1": "12:00:00"}
        assert change(staff, ticket_type.event).send(**times).status_code == 302
        answer = change(staff, ticket_type.event).send(date_0=f"{opening - timedelta(days=1):%Y-%m-%d}")
        assert "must open before it closes" in said(answer)

    @pytest.mark.parametrize("types", [(), ("tickets.view_tickettype",)])
    def test_the_sale_of_a_type_is_checked_for_those_who_may_not_change_types_too(
        self, types: tuple[str, ...], user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        event, client = ticket_type.event, Client()
        client.force_login(permit(user_make(), "tickets.change_event", *types))
        before, closes = event.date, event.date - timedelta(hours=1)
        Inventory.objects.update(closes_at=closes)

        def moved(hours: int) -> str:
            begins = (before - timedelta(hours=hours)).astimezone(ZoneInfo(event.time_zone))
            answer = change(client, event).send(
                date_0=begins.strftime("%Y-%m-%d"), date_1=begins.strftime("%H:%M:%S")
            )
            return "" if answer.status_code == 302 else said(answer)

        assert f"before the sale of {ticket_type.name} ends. Choose a later date" in moved(hours=2)
        event.refresh_from_db()
        assert (event.date, Inventory.objects.get().closes_at) == (before, closes)
        assert moved(hours=-1) == "", "a later date"
        Inventory.objects.update(closes_at=Event.objects.get().date)
        assert moved(hours=2) == "", "the sale ends when the event begins, also at an earlier date"
        assert Inventory.objects.get().closes_at == Event.objects.get().date

    @pytest.mark.parametrize("types", [(), ("tickets.view_tickettype",)])
    def test_a_draw_needs_an_opening_time_for_those_who_may_not_change_types_too(
        self, types: tuple[str, ...], user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        client = Client()
        client.force_login(permit(user_make(), "tickets.change_event", *types))
        Inventory.objects.update(opens_at=None)
        answer = change(client, ticket_type.event).send(opening="draw")
        assert "needs a time when the sale opens. You cannot set this time" in said(answer)
        assert Event.objects.get().opening == "direct"
        Inventory.objects.update(opens_at=timezone.now() + timedelta(hours=1))
        assert change(client, ticket_type.event).send(opening="draw").status_code == 302
        assert Event.objects.get().opening == "draw"

    @pytest.mark.parametrize("query", ["date__year=9999", "date__year=0", "date__year=2030&date__month=13"])
    def test_a_date_that_does_not_exist_is_refused_without_a_server_error(
        self, staff: Client, query: str
    ) -> None:
        assert staff.get(f"{LIST}?{query}", follow=True).status_code == 200


class TestNumbersAndNames:
    @pytest.mark.parametrize("name", ["capacity", "max_per_user"])
    @pytest.mark.parametrize("text", ["99999999999", "2147483648", "-1", "1e3", "1_0", "２", "9" * 5000])
    def test_a_number_beyond_the_range_is_refused(self, staff: Client, name: str, text: str) -> None:
        answer = add(staff, **{f"type0_{name}": text})
        assert (answer.status_code, Event.objects.count()) == (200, 0)
        assert "whole number" in said(answer)

    def test_the_largest_number_is_accepted(self, staff: Client, buyer: User) -> None:
        largest = str(2**31 - 1)
        add(staff, type0_capacity=largest, type0_max_per_user=largest, type0_price="0.01")
        ticket_type = TicketType.objects.get()
        claim(buyer.pk, ticket_type, 1)
        assert Inventory.objects.get().held == 1

    @pytest.mark.parametrize("name", ["vip", "ＶＩＰ", " VIP ", "Vip"])
    def test_two_names_that_look_alike_are_one(self, staff: Client, name: str) -> None:
        answer = add(staff, type1_name=name, type1_price="1.00", type1_capacity="1", **_rows(2))
        assert "has this name" in said(answer)
        assert Event.objects.count() == 0

    def test_the_database_holds_names_apart(self, ticket_type: TicketType) -> None:
        with pytest.raises(IntegrityError, match="ticket_type_unique_in_event"):
            TicketType.objects.create(
                event=ticket_type.event, name=ticket_type.name.upper(), price_minor=1, max_per_user=1
            )

    @pytest.mark.parametrize("name", ["Gala\rBcc: x@example.org", "Ga\u2028la", "Ga\tla", "Ga\x85la"])
    def test_a_name_becomes_one_line(self, staff: Client, name: str) -> None:
        assert add(staff, name=name, type0_name=name[:20]).status_code == 302
        assert len(Event.objects.get().name.splitlines()) == 1
        assert len(TicketType.objects.get().name.splitlines()) == 1

    @pytest.mark.parametrize("name", ["Gala\r", "Ga\u2029la", "Ga\x1fla", ""])
    def test_the_database_keeps_a_name_on_one_line(self, name: str, ticket_type: TicketType) -> None:
        for model in (Event, TicketType):
            with pytest.raises(IntegrityError, match="on_one_line"):
                model.objects.update(name=name)

    def test_a_bell_is_refused(self, staff: Client) -> None:
        assert "control character" in said(add(staff, name="Ga\x07la"))


def _rows(count: int) -> dict[str, str]:
    return {"ticket_types-TOTAL_FORMS": str(count)}


class TestDeleting:
    def test_an_event_with_sales_cannot_be_deleted_and_the_reason_is_named(
        self, staff: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        claim(buyer.pk, ticket_type)
        event = ticket_type.event
        answer = staff.post(f"/admin/tickets/event/{event.pk}/delete/", {"post": "yes"}, follow=True)
        assert f"The event {event} cannot be deleted, because tickets were reserved." in said(answer)
        chosen = {"action": "delete_selected", "_selected_action": [event.pk]}
        assert "cannot be deleted, because tickets were reserved" in said(
            staff.post(LIST, chosen, follow=True)
        )
        answer = change(staff, event).send(type0_DELETE="on")
        assert "cannot be deleted, because tickets of this type were reserved" in said(answer)
        assert Event.objects.count() == TicketType.objects.count() == 1

    def test_an_event_without_reservations_is_deleted_and_announced(
        self, staff: Client, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[dict[str, Any]] = []
        monkeypatch.setattr(event_operations.projections, "announce", lambda **news: told.append(news))
        staff.post(f"/admin/tickets/event/{ticket_type.event_id}/delete/", {"post": "yes"})
        assert Event.objects.count() == 0
        assert [news["events"] for news in told] == [[ticket_type.event_id]]


def test_a_changed_opening_is_announced_once(
    staff: Client, ticket_type_make: Callable[..., TicketType], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = ticket_type_make(opens_at=timezone.now() + timedelta(hours=1)).event
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(event_operations.projections, "announce", lambda **news: told.append(news))

    assert change(staff, event).send(opening="draw").status_code == 302

    assert Inventory.objects.get().line_first
    assert [news["events"] for news in told] == [[event.pk]]


def deleted_on_its_page(staff: Client, event: Event) -> Any:
    return staff.post(f"{LIST}{event.pk}/delete/", {"post": "yes"}, follow=True)


def deleted_in_the_list(staff: Client, event: Event) -> Any:
    other = Event.objects.create(name="Another", date=event.date)  # also stays, unless both can go
    chosen = {"action": "delete_selected", "_selected_action": [other.pk, event.pk], "post": "yes"}
    return staff.post(LIST, chosen, follow=True)


@pytest.mark.parametrize("way", [deleted_on_its_page, deleted_in_the_list])
class TestDeletingBesideOthers:
    """Staff delete an event while another transaction has locked what the deletion locks."""

    def beside_a_first_claim(self, staff: Client, buyer: User, ticket_type: TicketType, way: Any) -> Any:
        claimed = threading.Event()
        wanted = {
            "buyer": buyer.pk, "ticket_type": ticket_type.pk, **of_buyer(),
            "ticket_types": [ticket_type.pk], "quantities": [1], "order": None, "key": None, "hold_seconds": 900,
        }  # fmt: skip

        def claim_first() -> None:
            with db.transaction():
                assert len(db.rows(CLAIM_ORDER, wanted)) == 1
                claimed.set()
                waiting_for_a_lock(1)

        def delete() -> Any:
            assert claimed.wait(60)
            return way(staff, ticket_type.event)

        claiming, answer = together(claim_first, delete)
        assert claiming is None
        return answer

    def test_an_event_that_is_claimed_meanwhile_stays_and_the_reason_is_named(
        self, way: Any, staff: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        answer = self.beside_a_first_claim(staff, buyer, ticket_type, way)

        assert f"The event {ticket_type.event} cannot be deleted, because tickets were reserved." in said(
            answer
        )
        assert "uccessfully" not in said(answer)
        assert not LogEntry.objects.exists()
        assert Event.objects.count() == (2 if way is deleted_in_the_list else 1)

    def test_control_without_the_inventories_lock_it_is_an_error(
        self, way: Any, staff: Client, buyer: User, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(operations, "inventories_lock", lambda **_: {})

        assert isinstance(self.beside_a_first_claim(staff, buyer, ticket_type, way), IntegrityError)

    def beside_an_edit(self, staff: Client, ticket_type: TicketType, way: Any) -> list[Any]:
        """Lock the event and then its inventories, as an edit does, while a person deletes the event."""
        begun = threading.Event()

        def as_an_edit() -> None:
            with db.transaction():
                db.rows("SELECT FROM tickets_event WHERE id = %s FOR NO KEY UPDATE", [ticket_type.event_id])
                begun.set()
                waiting_for_a_lock(1)
                db.rows(
                    "SELECT FROM tickets_inventory WHERE ticket_type_id = %s FOR NO KEY UPDATE",
                    [ticket_type.pk],
                )

        def delete() -> int:
            assert begun.wait(60)
            return int(way(staff, ticket_type.event).status_code)

        return together(as_an_edit, delete)

    def test_a_deletion_waits_for_an_edit(self, way: Any, staff: Client, ticket_type: TicketType) -> None:
        assert self.beside_an_edit(staff, ticket_type, way) == [None, 200]
        assert not Event.objects.exists()

    def test_control_without_the_lock_of_the_event_they_deadlock(
        self, way: Any, staff: Client, ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(event_operations, "event_lock", lambda **_: None)

        assert self.beside_an_edit(staff, ticket_type, way) != [None, 200]


class TestTotals:
    PRICE = 10**12

    def test_a_total_that_no_payment_can_hold_is_refused(
        self, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=20_000_000, price_minor=self.PRICE, max_per_user=20_000_000)
        with pytest.raises(Exception, match="too high for one payment") as refused:
            claim(buyer.pk, ticket_type, 1001)
        assert "amount" in refused.value.facts["errors"]  # type: ignore[attr-defined]
        assert Inventory.objects.get().held == 0
        assert claim(buyer.pk, ticket_type, 1000).reservation["total"] == "10000000000000.00"

    def test_revenue_has_no_end(self, ticket_type: TicketType) -> None:
        Inventory.objects.update(revenue_minor=10**20)
        assert Inventory.objects.get().revenue_minor == 10**20

    def test_the_largest_quantity_is_refused_and_not_computed(
        self, user_make: Callable[..., User], ticket_type: TicketType
    ) -> None:
        claim(user_make().pk, ticket_type)
        TicketType.objects.update(max_per_user=2**31 - 1)
        with pytest.raises(Exception, match="fewer tickets"):
            claim(user_make().pk, ticket_type, 2**31 - 1)

    def test_the_database_bounds_prices(self, ticket_type: TicketType) -> None:
        for price in (-1, self.PRICE + 1):
            with pytest.raises((IntegrityError, DataError)):
                TicketType.objects.update(price_minor=price)


def test_a_form_shows_no_time_that_follows_the_events_date(staff: Client, ticket_type: TicketType) -> None:
    assert change(staff, ticket_type.event).fields["ticket_types-0-closes_at_0"] == ""


def test_reading_an_event_takes_no_lock(staff: Client, ticket_type: TicketType) -> None:
    with db.transaction():
        event_operations.event_lock(event_id=ticket_type.event_id)
        [answer] = together(lambda: change(staff, ticket_type.event).fields["name"])
        assert answer == ticket_type.event.name
    assert not event_selectors.is_reserved(event_id=ticket_type.event_id)
