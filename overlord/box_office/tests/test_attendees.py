"""The attendees of an event: the list, the file that is made while it is sent, and the list to print."""

import csv
import html
import io
import re
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from checkout.models import Payment
from checkout.permissions import Permission
from checkout.tests.paying import pay, work
from overlord.accounts.models import User
from overlord.box_office import attendee_pages, attendees
from tests.clients import permit
from tickets.admission.models import Ticket
from tickets.models import TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def office(user_make: Callable[..., User]) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.VIEW_ATTENDEES))
    return client


@pytest.fixture
def paid(api: APIClient, order_payment: Payment) -> Payment:
    pay(api, order_payment)
    return work(order_payment)


def place(payment: Payment) -> str:
    return f"/office/events/{payment.reservation.ticket_type.event_id}/attendees"


def rows_of(office: Client, address: str) -> list[dict[str, str]]:
    answer = office.get(address)
    assert answer.streaming
    text = answer.getvalue().decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_the_list_shows_each_ticket_with_its_buyer(office: Client, paid: Payment, buyer: User) -> None:
    page = office.get(f"{place(paid)}/").content.decode()
    for serial in Ticket.objects.values_list("serial", flat=True):
        assert serial in page
    assert buyer.email in page


def test_the_list_is_narrowed_by_type_state_and_name(
    office: Client, paid: Payment, buyer: User, order_types: list[TicketType]
) -> None:
    Ticket.objects.filter(reservation__ticket_type=order_types[0], seat=1).update(holder="Ada Lovelace")
    asked = {
        f"type={order_types[0].pk}": 2,
        "state=valid": 6,
        "state=revoked": 0,
        "q=lovelace+ada": 1,
        f"q={buyer.username}": 6,
        "type=x": 6,
        "type=999999": 0,
        "q=%25": 0,
    }
    for query, count in asked.items():
        assert len(rows_of(office, f"{place(paid)}.csv/?{query}")) == count, query


def test_the_holder_of_a_handed_over_ticket_is_listed_found_and_printed(
    office: Client, paid: Payment
) -> None:
    Ticket.objects.filter(pk=Ticket.objects.order_by("pk")[0].pk).update(handed_to="cleo@example.org")

    [found] = rows_of(office, f"{place(paid)}.csv/?q=cleo")
    assert found["holder"] == "cleo@example.org"
    assert "cleo@example.org" in office.get(f"{place(paid)}/print/").content.decode()


def test_an_erased_person_who_was_handed_a_ticket_has_no_address(
    office: Client, user_make: Callable[..., User], paid: Payment
) -> None:
    [first, *_] = Ticket.objects.order_by("pk")
    Ticket.objects.filter(pk=first.pk).update(handed_to=Ticket.NOBODY, holder="")
    pages = ["", "/print"]

    for language, said in (("en", "Name erased"), ("de", "Name gelöscht")):
        shown = [
            office.get(f"{place(paid)}{page}/", headers={"accept-language": language}).content.decode()
            for page in pages
        ]
        assert [(said in page, Ticket.NOBODY in page) for page in shown] == [(True, False)] * 2
    held = {row["serial"]: row["holder"] for row in rows_of(office, f"{place(paid)}.csv/")}
    assert held[first.serial] == "Name erased"


def test_the_file_has_all_tickets_and_no_formula(
    office: Client, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendees, "READ_AT_ONCE", 4)  # so that six tickets are two parts
    Ticket.objects.update(holder='=HYPERLINK("http://x","y")')
    rows = rows_of(office, f"{place(paid)}.csv/")
    assert sorted(row["serial"] for row in rows) == sorted(Ticket.objects.values_list("serial", flat=True))
    assert {row["holder"] for row in rows} == {'\'=HYPERLINK("http://x","y")'}
    assert {row["price"] for row in rows} == {"15.00 EUR", "10.00 EUR", "0.01 EUR"}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", " =1", "\t=1", "\uff1d1", "a\r\n=1", "\n=1"])
def test_a_cell_that_begins_like_a_formula_is_text(text: str) -> None:
    written = attendees.cell(text)
    assert written.startswith(("'", "a"))
    assert "\n" not in written
    assert "\r" not in written


@pytest.mark.parametrize(
    "text", ["Ada;=1+1;x", "Ada; =1+1;x", 'Ada;"=1+1;x', 'Ada;""" =1+1', "a;b;@c", "=1;=2", '"=1+1"']
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_program_finds_a_formula_whatever_ends_a_cell_there(text: str, separator: str) -> None:
    file = io.StringIO()
    csv.writer(file).writerow(["AB12", attendees.cell(text), "valid"])

    [cells] = csv.reader([file.getvalue()], delimiter=separator)
    assert not [each for each in cells if each.lstrip(' "').startswith(attendees.FORMULA_BEGINS)]


def test_an_ordinary_cell_stays_as_it_is() -> None:
    for text in ("Ada", "O'Neill", "", "a=b", "Zo\u00eb", "Ada; Bob;", '"Ada" Lovelace'):
        assert attendees.cell(text) == text


def sheet_of(office: Client, address: str) -> tuple[list[list[str]], str]:
    """Return the rows of a spreadsheet, and the XML of its sheet."""
    answer = office.get(address)
    assert answer["Content-Type"] == attendees.XLSX
    with zipfile.ZipFile(io.BytesIO(answer.getvalue())) as book:
        xml = book.read("xl/worksheets/sheet1.xml").decode()
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    rows = ElementTree.fromstring(xml).iter(f"{space}row")  # noqa: S314  (our own file)
    return [["".join(cell.itertext()) for cell in row.iter(f"{space}c")] for row in rows], xml


def test_the_spreadsheet_has_the_same_as_text(office: Client, paid: Payment) -> None:
    Ticket.objects.filter(seat=1).update(holder="=HYPERLINK(1)")
    rows, xml = sheet_of(office, f"{place(paid)}.xlsx/")

    file = rows_of(office, f"{place(paid)}.csv/")
    assert rows[0] == list(attendees.COLUMNS)
    found = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [row["serial"] for row in found] == [row["serial"] for row in file]
    assert "=HYPERLINK(1)" in {row["holder"] for row in found}, "unchanged, as a cell of text runs nothing"
    assert "<f>" not in xml
    assert 'r:id="' not in xml
    assert set(re.findall(r' t="(\w+)"', xml)) == {"inlineStr"}
    narrowed, _ = sheet_of(office, f"{place(paid)}.xlsx/?state=revoked")
    assert narrowed == rows[:1]


def test_a_spreadsheet_of_any_length_takes_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    row: dict[str, Any] = {
        **dict.fromkeys(
            ("serial", "ticket_type", "holder", "username", "email", "state", "admitted_gate"), "x"
        ),
        **dict.fromkeys(("contact_name", "contact_email"), ""),
        "admitted_at": None,
        "is_guest": False,
        "lead": None,
        "reservation_id": 1,
        "price_minor": 1500,
        "currency": "EUR",
    }

    def peak(count: int) -> int:
        monkeypatch.setattr(attendees, "_all", lambda _: (row for _ in range(count)))
        tracemalloc.start()
        try:
            attendees.xlsx_file(Ticket.objects.none(), zone="UTC").close()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # imports and caches are filled
    assert peak(2_000) < peak(200) + 200_000


def test_the_list_to_print_has_the_valid_tickets_by_name(office: Client, paid: Payment) -> None:
    first, second, revoked, *_rest = Ticket.objects.order_by("pk")
    Ticket.objects.filter(pk=first.pk).update(holder="Zoe")
    Ticket.objects.filter(pk=second.pk).update(holder="ada")
    Ticket.objects.filter(pk=revoked.pk).update(state="revoked", revoked_at="2030-01-01T00:00:00Z")
    page = office.get(f"{place(paid)}/print/").content.decode()
    assert page.index("ada") < page.index("Zoe")
    assert revoked.serial not in page


def test_the_list_to_print_says_from_when_it_is_and_that_it_is_a_part(
    office: Client, paid: Payment, order_types: list[TicketType]
) -> None:
    address, part = f"{place(paid)}/print/", "This list does not have all tickets."
    page = office.get(address).content.decode()
    narrowed = {
        query: office.get(f"{address}?{query}").content.decode()
        for query in (f"type={order_types[1].pk}", "state=valid", "q=lovelace", "type=999999", "state=x")
    }

    assert re.search(r"As of \w+, \w+ \d+, \d{4}, \d+:\d\d\s[AP]M UTC</p>", page)
    assert part not in page
    assert [part in each for each in narrowed.values()] == [True, True, True, True, False]
    assert f"It has only: {order_types[1].name}</p>" in narrowed[f"type={order_types[1].pk}"]
    assert "“lovelace”" in narrowed["q=lovelace"]


def followed(page: str, label: str) -> str:
    """Return the query of a link of a page of the list."""
    [found] = re.findall(rf'href="(\?[^"]*)">{label}</a>', page)
    return html.unescape(found)


def serials_on(page: str) -> list[str]:
    return [each for each in Ticket.objects.order_by("pk").values_list("serial", flat=True) if each in page]


def test_nobody_is_missing_between_two_pages_while_people_come_in(
    office: Client, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendees, "ON_A_PAGE", 2)
    first = office.get(f"{place(paid)}/?state=valid").content.decode()
    assert len(serials_on(first)) == 2
    assert ">Back</a>" not in first
    Ticket.objects.filter(serial__in=serials_on(first)).update(state="admitted", admitted_at=timezone.now())

    seen, page = serials_on(first), first
    while ">Next</a>" in page:
        page = office.get(f"{place(paid)}/{followed(page, 'Next')}").content.decode()
        seen += serials_on(page)
    assert seen == [*Ticket.objects.order_by("pk").values_list("serial", flat=True)]


def test_the_list_is_read_backwards_too(
    office: Client, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendees, "ON_A_PAGE", 2)
    pages = [office.get(f"{place(paid)}/?q=&state=").content.decode()]
    for label in ("Next", "Next", "Back", "Back"):
        pages.append(office.get(f"{place(paid)}/{followed(pages[-1], label)}").content.decode())
    one, two, three, *back = map(serials_on, pages)
    assert back == [two, one]
    assert one + two + three == [*Ticket.objects.order_by("pk").values_list("serial", flat=True)]
    assert ">Back</a>" not in pages[-1]
    lowest, highest = Ticket.objects.order_by("pk").values_list("pk", flat=True)[:1].get(), 2**63 - 1
    assert serials_on(office.get(f"{place(paid)}/?before={lowest}").content.decode()) == one
    empty = office.get(f"{place(paid)}/?after={highest - 1}").content.decode()
    assert "No tickets match your search." in empty
    assert serials_on(office.get(f"{place(paid)}/{followed(empty, 'Back')}").content.decode()) == three
    for wrong in ("after=x", "before=0", f"after={highest + 1}"):
        assert serials_on(office.get(f"{place(paid)}/?{wrong}").content.decode()) == one


@pytest.mark.parametrize("most", [5, 6])
def test_a_complete_list_to_print_does_not_say_that_it_is_cut(
    most: int, office: Client, paid: Payment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendee_pages, "MOST_TO_PRINT", most)
    page = office.get(f"{place(paid)}/print/").content.decode()
    assert len(serials_on(page)) == most
    assert ("too long to print" in page) == (most == 5)


def test_the_number_of_queries_does_not_grow(office: Client, paid: Payment) -> None:
    def count(query: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert office.get(f"{place(paid)}/{query}").status_code == 200
        return len(queries)

    count("")
    assert count("?state=revoked") == count("")


def test_an_unknown_event_is_not_found(office: Client) -> None:
    for rest in ("/", ".csv/", "/print/"):
        assert office.get(f"/office/events/999999/attendees{rest}").status_code == 404
