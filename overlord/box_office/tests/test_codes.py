"""The organiser's pages of codes: make one or many, see their sales, change, end, download."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.journal.models import JournalEntry
from overlord.kernel import db
from tests.clients import permit
from tickets import operations, voucher_edits
from tickets.models import Event, TicketType, Voucher
from tickets.permissions import Permission
from tickets.tests.forms import Form
from tickets.tests.vouchers import reserve_with, voucher_make
from tickets.voucher_forms import CodeForm
from tickets.voucher_services import Terms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def event(ticket_type: TicketType) -> Event:
    return ticket_type.event


@pytest.fixture
def organiser(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.MANAGE_EVENTS))
    return client


def path(event: Event, rest: str = "") -> str:
    return f"/office/events/{event.pk}/codes/{rest}"


def make(client: Client, event: Event, **fields: str) -> Any:
    return Form(client, path(event, "new/")).send(**{"price_value": "10", **fields})


class TestMaking:
    def test_a_code_is_made_with_all_values_of_the_form(
        self, organiser: Client, event: Event, ticket_type: TicketType
    ) -> None:
        sent = {
            "text": "Spring",
            "price_rule": "less",
            "price_value": "2.50",
            "opens_early": "on",
            "ticket_types": str(ticket_type.pk),
            "most_uses": "50",
            "valid_until_0": "2030-05-01",
            "valid_until_1": "12:00",
            "note": "Newsletter",
        }
        assert make(organiser, event, **sent).status_code == 302

        made = Voucher.objects.get()
        assert (made.text, made.price_rule, made.price_value, made.most_uses) == ("Spring", "less", 250, 50)
        assert (made.opens_early, made.all_types, [*made.ticket_types.all()]) == (True, False, [ticket_type])
        page = organiser.get(path(event)).content.decode()
        assert "€2.50 off each ticket, presale" in page
        assert "Newsletter" in page

    def test_many_codes_are_made_at_once_and_downloaded(self, organiser: Client, event: Event) -> None:
        make(organiser, event, text="=P-", number="200", most_uses="1", note="=1+1")

        texts = set(Voucher.objects.values_list("text", flat=True))
        assert len(texts) == 200
        assert all(text.startswith("=P-") and len(text) == 11 for text in texts)
        assert not JournalEntry.objects.filter(action="codes_downloaded").exists()
        file = b"".join(organiser.get(f"/office/events/{event.pk}/codes.csv/"))  # type: ignore[arg-type]
        rows = list(csv.DictReader(io.StringIO(file.decode().removeprefix("\ufeff"))))
        assert {row["code"] for row in rows} == {f"'{text}" for text in texts}
        assert {row["note"] for row in rows} == {"'=1+1"}
        assert JournalEntry.objects.get(action="codes_downloaded").event_number == event.pk

    def test_a_form_sent_twice_makes_its_codes_once(self, organiser: Client, event: Event) -> None:
        form = Form(organiser, path(event, "new/"))
        for _press in range(2):
            assert form.send(price_value="10", number="20").status_code == 302
        assert Voucher.objects.count() == 20

        form.send(price_value="15", number="20")  # other values from the same page
        assert Voucher.objects.count() == 40

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"price_value": "0"}, "from 1 to 100"),
            ({"price_value": "ten"}, "from 1 to 100"),
            ({"price_rule": "fixed", "price_value": "1.234"}, "too many decimal places"),
            ({"price_rule": "unchanged"}, "would have no effect"),
            ({"text": "two words"}, "no spaces"),
            ({"text": "un\u200bseen"}, "no spaces"),
            ({"text": "x" * 41}, "At most 40"),
            ({"text": "x" * 35, "number": "2"}, "too long"),
            ({"text": "TAKEN"}, "has a code with this text"),
            ({"number": "1001"}, "1 to 1000"),
            ({"most_uses": "0"}, "1 to"),
            (
                {"valid_from_0": "2030-05-02", "valid_from_1": "12:00", "valid_until_0": "2030-05-01",
                 "valid_until_1": "12:00"},
                "must end after it begins",
            ),
            ({"valid_from_0": "2099-05-02", "valid_from_1": "12:00"}, "The sale of these tickets ends before"),
            ({"valid_until_0": "2900-05-02", "valid_until_1": "12:00"}, "The year must be"),
        ],
    )  # fmt: skip
    def test_a_mistake_saves_nothing_and_is_shown_at_its_field(
        self, organiser: Client, event: Event, fields: dict[str, str], sentence: str
    ) -> None:
        voucher_make(event, "taken")

        answer = make(organiser, event, **fields)

        assert answer.status_code in (400, 409)
        assert sentence in answer.content.decode()
        assert Voucher.objects.count() == 1

    @pytest.mark.parametrize("is_chosen", [False, True])
    def test_the_sale_of_a_hidden_type_counts_only_if_the_code_is_for_this_type(
        self,
        organiser: Client,
        event: Event,
        ticket_type_make: Callable[..., TicketType],
        is_chosen: bool,
    ) -> None:
        hidden = ticket_type_make(event=event, closes_at=event.date + timedelta(days=10))
        TicketType.objects.filter(pk=hidden.pk).update(hidden=True)
        begins = event.date + timedelta(days=5)
        fields = {"valid_from_0": f"{begins:%Y-%m-%d}", "valid_from_1": "12:00"}
        chosen = {"ticket_types": str(hidden.pk)} if is_chosen else {}

        answer = make(organiser, event, **fields, **chosen)

        assert ("The sale of these tickets ends before" in answer.content.decode()) is not is_chosen
        assert Voucher.objects.exists() is is_chosen


class TestOne:
    def test_the_page_of_a_code_shows_its_sales(
        self, organiser: Client, api: APIClient, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event, most_uses=5)
        pk = reserve_with(api, ticket_type, "SPRING", 2).json()["id"]
        with db.transaction():
            order, now = operations.order_lock(order_id=pk)
            operations.order_sell(reservations=order, is_free=False, now=now)

        page = organiser.get(path(event, f"{voucher.pk}/")).content.decode()

        assert "2&nbsp;/&nbsp;5" in page
        assert "€27.00" in page  # sold for
        assert "€3.00" in page  # the discount
        assert "€27.00" in organiser.get(path(event)).content.decode()

    def test_a_change_applies_from_then_on(
        self, organiser: Client, api: APIClient, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event, most_uses=5, valid_until=timezone.now() + timedelta(days=1))
        form = Form(organiser, path(event, f"{voucher.pk}/"))

        assert form.send(price_rule="fixed", price_value="1.00").status_code == 302
        voucher.refresh_from_db()
        assert (voucher.text, voucher.price_value, voucher.most_uses) == ("SPRING", 100, 5)
        assert reserve_with(api, ticket_type, "SPRING").json()["unit_price"] == "1.00"

    def test_a_code_whose_types_were_deleted_does_not_become_one_for_all_types(
        self, organiser: Client, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event, types=[ticket_type], price_value=100)
        voucher.ticket_types.clear()  # as deleting a type does

        answer = Form(organiser, path(event, f"{voucher.pk}/")).send(note="For the band")
        assert answer.status_code == 400
        page = answer.content.decode()
        assert 'id="id_ticket_types_error">The ticket types of this code were deleted.' in page
        assert 'aria-describedby="id_ticket_types_helptext id_ticket_types_error"' in page
        assert not Voucher.objects.get().all_types

        form = Form(organiser, path(event, f"{voucher.pk}/"))
        assert form.send(ticket_types=str(ticket_type.pk)).status_code == 302
        form = Form(organiser, path(event, f"{voucher.pk}/"))
        del form.fields["ticket_types"]
        assert form.send().status_code == 302
        assert Voucher.objects.get().all_types, "staff chose that themselves"

    def test_an_outdated_form_saves_nothing_and_says_what_changed(
        self, organiser: Client, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event)
        one, other = (Form(organiser, path(event, f"{voucher.pk}/")) for _ in range(2))
        one.send(price_value="20", opens_early="on", ticket_types=str(ticket_type.pk))
        organiser.post(path(event, f"{voucher.pk}/end/"), {"ended": "yes", "version": voucher.version + 1})
        answer = other.send(note="Newsletter", price_value="30")

        page = answer.content.decode()
        assert answer.status_code == 409
        for sentence in (
            "The code can no longer be used.",
            "Amount or percentage changed from 10 to 20.",
            "Presale changed from off to on.",
            f"Ticket types changed from all ticket types that buyers see to {ticket_type.name}.",
        ):
            assert f"<li>{sentence}</li>" in page, sentence
        voucher.refresh_from_db()
        assert (voucher.note, voucher.price_value) == ("", 20)
        # The form now shows the present values, and those that its author wrote.
        assert other.send().status_code == 302
        voucher.refresh_from_db()
        assert (voucher.note, voucher.price_value, voucher.opens_early) == ("Newsletter", 30, True)
        assert [*voucher.ticket_types.all()] == [ticket_type]

    def test_a_form_that_becomes_outdated_while_it_is_saved_is_refused_too(
        self, organiser: Client, event: Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        form_sent = voucher_edits.form_sent

        def overtaken(voucher: Voucher, *given: Any) -> CodeForm:
            form = form_sent(voucher, *given)
            Voucher.objects.filter(pk=voucher.pk, version=1).update(version=2, price_value=20)
            return form

        monkeypatch.setattr(voucher_edits, "form_sent", overtaken)
        answer = Form(organiser, path(event, f"{voucher_make(event).pk}/")).send(note="Newsletter")
        assert (answer.status_code, Voucher.objects.get().note) == (409, "")

    def test_a_form_whose_event_has_another_time_zone_saves_nothing_and_shows_the_times_there(
        self, organiser: Client, event: Event
    ) -> None:
        Event.objects.update(time_zone="Europe/Berlin")
        ends = datetime(2030, 1, 8, 19, tzinfo=UTC)
        voucher = voucher_make(event, valid_until=ends)
        form = Form(organiser, path(event, f"{voucher.pk}/"))
        Event.objects.update(time_zone="America/New_York", version=F("version") + 1)

        answer = form.send(note="Newsletter")

        assert answer.status_code == 409
        page = answer.content.decode()
        assert "<li>Time zone changed from Europe/Berlin to America/New_York.</li>" in page
        assert "<li>Valid until changed from 2030-01-08 20:00:00 to 2030-01-08 14:00:00.</li>" in page
        voucher.refresh_from_db()
        assert (voucher.note, voucher.valid_until) == ("", ends)
        assert form.send().status_code == 302
        voucher.refresh_from_db()
        assert (voucher.note, voucher.valid_until) == ("Newsletter", ends)

    @pytest.mark.parametrize("is_overtaken", [False, True])
    @pytest.mark.parametrize("is_new", [False, True])
    def test_an_amount_for_another_currency_is_refused(
        self,
        is_new: bool,
        is_overtaken: bool,
        organiser: Client,
        event: Event,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        Event.objects.update(currency="EUR")
        rest = "new/" if is_new else f"{voucher_make(event).pk}/"
        form, terms = Form(organiser, path(event, rest)), CodeForm.terms

        def overtaken(form: CodeForm) -> Terms:
            Event.objects.update(currency="JPY")
            return terms(form)

        with monkeypatch.context() as patched:
            if is_overtaken:
                patched.setattr(CodeForm, "terms", overtaken)
            else:
                Event.objects.update(currency="JPY")
            answer = form.send(price_rule="less", price_value="5")
        assert answer.status_code == 409
        assert "<li>Currency changed from EUR to JPY.</li>" in answer.content.decode()
        assert not Voucher.objects.exclude(price_rule="percent").exists()
        assert form.send().status_code == 302, "its author has seen the currency by now"
        assert [*Voucher.objects.values_list("price_rule", "price_value")] == [("less", 5)]

    @pytest.mark.parametrize("made_from", ["", "x", "of another code"])
    def test_a_form_without_its_origin_shows_the_present_code(
        self, organiser: Client, event: Event, made_from: str
    ) -> None:
        if made_from == "of another code":
            other = Form(organiser, path(event, f"{voucher_make(event, 'OTHER').pk}/"))
            made_from = other.fields["made_from"]
        form = Form(organiser, path(event, f"{voucher_make(event).pk}/"))
        assert form.send(price_value="30", made_from=made_from).status_code == 409
        assert form.fields["price_value"] == "10"

    def test_a_limit_below_the_uses_is_refused(
        self, organiser: Client, api: APIClient, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event)
        reserve_with(api, ticket_type, "SPRING", 3)
        answer = Form(organiser, path(event, f"{voucher.pk}/")).send(most_uses="2")

        assert (
            answer.status_code,
            "more tickets are already reserved or sold with the code" in answer.content.decode(),
        ) == (
            409,
            True,
        )

    def test_a_code_is_ended_and_can_be_used_again(
        self, organiser: Client, api: APIClient, event: Event, ticket_type: TicketType
    ) -> None:
        voucher = voucher_make(event)
        url = path(event, f"{voucher.pk}/end/")

        organiser.post(url, {"ended": "yes", "version": voucher.version})
        organiser.post(url, {"ended": "no", "version": voucher.version})  # of a page from before
        assert reserve_with(api, ticket_type, "SPRING").json()["code"] == "code_ended"
        organiser.post(url, {"ended": "no", "version": voucher.version + 1})
        written = JournalEntry.objects.order_by("pk").values_list("action", "facts__code")
        assert [*written] == [("code_ended", "SPRING"), ("code_reopened", "SPRING")]
        assert reserve_with(api, ticket_type, "SPRING").status_code == 201

    def test_each_change_gives_the_event_its_next_version(
        self, organiser: Client, api: APIClient, event: Event
    ) -> None:
        """Require it because a frame with a new version lets open pages ask again for the prices of a code."""
        voucher = voucher_make(event)
        address = path(event, f"{voucher.pk}/")
        versions = [api.get(f"/event/events/{event.pk}/").json()["version"]]
        for change in (
            lambda: Form(organiser, address).send(most_uses="5"),
            lambda: organiser.post(f"{address}end/", {"ended": "yes", "version": "2"}),
            lambda: organiser.post(f"{address}end/", {"ended": "no", "version": "3"}),
        ):
            assert change().status_code == 302
            versions.append(api.get(f"/event/events/{event.pk}/").json()["version"])
        assert versions == [versions[0] + n for n in range(4)]

    def test_a_code_is_found_under_its_own_event_only(
        self, organiser: Client, event: Event, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        voucher = voucher_make(ticket_type_make().event)
        other = path(event, f"{voucher.pk}/")

        assert organiser.get(other).status_code == 404
        assert organiser.post(f"{other}end/", {"ended": "yes", "version": 1}).status_code == 404


def test_a_longer_list_takes_no_more_queries(
    organiser: Client, event: Event, django_assert_max_num_queries: Any
) -> None:
    for n in range(5):
        voucher_make(event, f"CODE{n}")
    with django_assert_max_num_queries(8) as few:
        organiser.get(path(event))
    for n in range(5, 20):
        voucher_make(event, f"CODE{n}")
    with django_assert_max_num_queries(len(few)):
        page = organiser.get(path(event), {"q": "code1"}).content.decode()

    assert "CODE1" in page
    assert "CODE2" not in page


def test_a_currency_stays_while_codes_have_amounts_in_it(organiser: Client, event: Event) -> None:
    voucher_make(event, price_rule="less", price_value=100)
    answer = Form(organiser, f"/office/events/{event.pk}/edit/").send(currency="JPY", type0_price="15")

    assert "codes with amounts in EUR" in answer.content.decode()
