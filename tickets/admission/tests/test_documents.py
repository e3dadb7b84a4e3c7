"""Tickets as PDF and as iCalendar, and the codes that a scanner reads from them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from icalendar import Calendar, Event
from PIL import Image, ImageDraw

from overlord.accounts.models import User
from tests.qr_codes import drawn, read
from tickets.admission import documents, pdf_drawing, selectors, services, ticket_qr
from tickets.admission.calendar_file import calendar_file
from tickets.admission.models import Ticket
from tickets.admission.pdf import printed
from tickets.admission.printed import Page
from tickets.admission.selectors import Reach
from tickets.admission.tests.admitting import give_back, paid
from tickets.admission.tests.vectors import VECTORS
from tickets.models import Reservation, TicketType

CODE = VECTORS[0]["code"]
SHOWN: dict[str, Any] = {
    "state": "valid",
    "code": CODE,
    "event_id": 3,
    "event_status": "on_sale",
    "event_calendar_version": 0,
    "event_name": "Žižkov, Жук; Fête\N{EURO SIGN}",
    "event_date": datetime(2027, 7, 1, 18, 30, tzinfo=UTC),
    "event_ends_at": datetime(2027, 7, 1, 21, 0, tzinfo=UTC),
    "event_time_zone": "Europe/Berlin",
    "event_venue": "Großer Saal",
    "event_address": "1 Example Street, Berlin",
    "ticket_type_name": "Stalls",
    "holder": "Ada Żółć",
    "n": 1,
    "of": 2,
    "serial": "ABCDEFGHJK",
}


@pytest.mark.parametrize("vector", VECTORS)
def test_a_scanner_reads_the_code_from_the_page(vector: dict[str, Any]) -> None:
    assert read(drawn(ticket_qr.svg(vector["code"], title="Ticket"))) == [vector["code"]]


def test_control_a_scanner_reads_nothing_from_a_broken_picture() -> None:
    picture = drawn(ticket_qr.svg(CODE, title="Ticket"))
    ImageDraw.Draw(picture).rectangle((0, 0, picture.width // 2, picture.height), fill=255)

    assert read(picture) == []


def squares(content: bytes) -> list[list[tuple[float, ...]]]:
    """Return the filled rectangles of each page of an uncompressed PDF, in points."""
    pages = re.findall(rb"stream\n(.*?)\nendstream", content, re.DOTALL)
    rectangle = re.compile(rb"([\d.]+) ([\d.]+) ([\d.]+) (-?[\d.]+) re f")
    return [
        [tuple(map(float, each)) for each in rectangle.findall(page)] for page in pages if b" re f" in page
    ]


def texts(content: bytes) -> list[bytes]:
    """Return the texts of an uncompressed PDF, as numbers of letters in its font."""
    return re.findall(rb"\((.*?)\) Tj", content)


def uncompressed(monkeypatch: pytest.MonkeyPatch, shown: list[dict[str, Any]]) -> bytes:
    compression_stop(monkeypatch)
    return pdf(shown)


def compression_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(pdf_drawing.FPDF):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            self.set_compression(False)

    monkeypatch.setattr(pdf_drawing, "FPDF", Plain)


def pdf(shown: list[dict[str, Any]]) -> bytes:
    """Return the PDF of tickets, drawn in this process."""
    return pdf_drawing.drawn(printed(shown))


def test_a_scanner_reads_the_code_of_each_page_of_the_pdf(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [vector["code"] for vector in VECTORS]
    content = uncompressed(monkeypatch, [{**SHOWN, "code": code} for code in codes])

    found = []
    for page in squares(content):
        picture = Image.new("L", (1200, 1700), 255)
        pen = ImageDraw.Draw(picture)
        for x, y, width, height in page:
            pen.rectangle((2 * x, 2 * (842 - y), 2 * (x + width), 2 * (842 - y - height)), fill=0)
        found += read(picture)
    assert found == codes


@pytest.mark.parametrize("letters", ["W", "Žů "])
def test_the_code_is_whole_below_the_longest_names(monkeypatch: pytest.MonkeyPatch, letters: str) -> None:
    names = {
        "event_name": 200,
        "event_venue": 200,
        "event_address": 500,
        "ticket_type_name": 60,
        "holder": 100,
    }
    long = {name: (letters * most)[:most] for name, most in names.items()}
    [page] = squares(uncompressed(monkeypatch, [{**SHOWN, **long}]))

    assert min(y + height for _x, y, _width, height in page) > 200, (
        "points above the end of the page, for text"
    )


def test_a_pdf_has_one_page_a_ticket_and_all_letters(caplog: pytest.LogCaptureFixture) -> None:
    content = pdf([SHOWN, {**SHOWN, "n": 2, "holder": ""}])

    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", content)) == 2
    assert "missing" not in caplog.text
    assert len(content) < 60_000


@pytest.mark.parametrize("letter", ["\N{EN DASH}", "\N{EURO SIGN}", "Ž", "ß"])
def test_a_line_that_is_too_wide_keeps_all_letters(monkeypatch: pytest.MonkeyPatch, letter: str) -> None:
    shown = {**SHOWN, "event_name": f"{'word ' * 30}{letter}", "holder": ""}
    assert letter.encode("cp1252") in b"".join(texts(uncompressed(monkeypatch, [shown])))


@pytest.mark.parametrize("name", ["Som\N{SOFT HYPHEN}mer", "Žiž\N{SOFT HYPHEN}kov", "Бу\N{SOFT HYPHEN}ря"])
def test_a_soft_hyphen_within_a_line_is_not_printed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def texts_of(name: str) -> list[bytes]:
        page: Page = {"title": "", "above": [(name, 12)], "below": [], "code": CODE}
        return texts(pdf_drawing.drawn({"creator": "", "author": "", "pages": [page]}))

    compression_stop(monkeypatch)
    assert texts_of(name) == texts_of(name.replace("\N{SOFT HYPHEN}", ""))
    assert len(texts_of(name)) == 1


def test_a_letter_that_the_font_lacks_stops_no_pdf() -> None:
    assert pdf([{**SHOWN, "event_name": "東京 \N{GRINNING FACE}", "holder": "\N{ARABIC LETTER BEH}"}])


def test_the_calendar_has_the_event_in_its_own_time_zone() -> None:
    content = calendar_file(SHOWN, order_id=7, now=datetime(2026, 12, 1, tzinfo=UTC))
    calendar = Calendar.from_ical(content)
    [event] = calendar.walk("VEVENT")

    assert str(event["summary"]) == SHOWN["event_name"]
    assert isinstance(event, Event)
    starts = event.DTSTART
    assert starts == SHOWN["event_date"].astimezone(ZoneInfo("Europe/Berlin"))
    assert b"DTSTART;TZID=Europe/Berlin:20270701T203000" in content
    assert b"DTEND;TZID=Europe/Berlin:20270701T230000" in content
    assert str(event["location"]) == "Großer Saal, 1 Example Street, Berlin"
    assert [str(zone["tzid"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
    assert b"/t/" not in content  # other people see a calendar


@pytest.mark.parametrize(
    ("year", "zone"), [(2030, "Europe/Berlin"), (2027, "America/New_York"), (2027, "UTC")]
)
def test_the_calendar_describes_the_zone_as_the_library_does(year: int, zone: str) -> None:
    starts = SHOWN["event_date"].replace(year=year)
    shown = {**SHOWN, "event_date": starts, "event_ends_at": None, "event_time_zone": zone}
    calendar_file(SHOWN, order_id=6, now=datetime(2026, 12, 1, tzinfo=UTC))  # for another zone or year

    ours = Calendar.from_ical(calendar_file(shown, order_id=7, now=datetime(2026, 12, 1, tzinfo=UTC)))
    zones, events = ours.timezones, ours.walk("VEVENT")
    assert [found.tz_name for found in zones] == ([] if zone == "UTC" else [zone])
    assert ours.subcomponents == [*zones, *events], "the zone comes before the lines that name it"
    for found in zones:
        local = found.to_tz()
        for days in (-200, 0, 200):
            at = (starts + timedelta(days=days)).replace(tzinfo=None)
            assert at.replace(tzinfo=local).utcoffset() == at.replace(tzinfo=ZoneInfo(zone)).utcoffset()


@pytest.mark.parametrize(
    ("starts", "ends", "zone", "written"),
    [
        # The clocks go forward at 2:00, so 2:30 does not exist.
        ("2027-03-27T23:30Z", None, "Europe/Berlin", ("20270328T003000", "20270328T033000")),
        # The clocks go back at 3:00, so each time from 2:00 comes twice. Calendars take it for the first one.
        ("2027-10-30T22:30Z", None, "Europe/Berlin", ("20271031T003000", "20271031T023000")),
        ("2027-10-30T23:30Z", None, "Europe/Berlin", ("20271031T013000", "20271031T013000Z")),
        ("2027-10-31T01:30Z", "2027-10-31T03:00Z", "Europe/Berlin", ("20271031T013000Z", "20271031T040000")),
        ("2027-11-07T06:15Z", "2027-11-07T06:45Z", "America/New_York", ("20271107T061500Z", "20271107T064500Z")),
    ],
)  # fmt: skip
def test_the_calendar_keeps_the_instants_of_a_night_in_which_clocks_change(
    starts: str, ends: str | None, zone: str, written: tuple[str, str]
) -> None:
    begin = datetime.fromisoformat(starts)
    end = datetime.fromisoformat(ends) if ends else None
    shown = {**SHOWN, "event_date": begin, "event_ends_at": end, "event_time_zone": zone}
    content = calendar_file(shown, order_id=7, now=datetime(2026, 12, 1, tzinfo=UTC))

    [event] = Calendar.from_ical(content).walk("VEVENT")
    assert isinstance(event, Event)
    assert [event[name].to_ical() for name in ("dtstart", "dtend")] == [each.encode() for each in written]
    read = [each.replace(fold=0).astimezone(UTC) for each in (event.DTSTART, event.DTEND)]
    assert read == [begin, end or begin + timedelta(hours=2)]


@pytest.mark.parametrize("year", [1970, 9998])
def test_the_calendar_accepts_dates_far_away(year: int) -> None:
    date = datetime(year, 1, 1, tzinfo=UTC)
    shown = {**SHOWN, "event_date": date, "event_ends_at": None, "event_venue": "", "event_address": ""}

    assert calendar_file(shown, order_id=7, now=datetime(2026, 12, 1, tzinfo=UTC))


@pytest.mark.django_db(transaction=True)
class TestLink:
    @pytest.fixture
    def reservation(self, buyer: User, ticket_type: TicketType) -> Reservation:
        return paid(buyer, ticket_type, 2)

    def get(self, reservation: Reservation, suffix: str) -> Any:
        return Client().get(f"/t/{selectors.order_link(order_id=reservation.pk)}{suffix}")

    def test_a_link_gives_pdf_and_calendar(self, reservation: Reservation) -> None:
        for suffix, kind, start in (
            (".pdf", "application/pdf", b"%PDF"),
            (".ics", "text/calendar", b"BEGIN:VC"),
        ):
            answer = self.get(reservation, suffix)
            assert (answer.status_code, answer["Content-Type"]) == (200, kind)
            assert answer.content.startswith(start)
            assert answer["Cache-Control"] == "no-store, private"
            assert answer["Referrer-Policy"] == "same-origin"

    def test_revoked_tickets_are_in_no_pdf(self, reservation: Reservation) -> None:
        Ticket.objects.filter(seat=1).update(state="revoked", revoked_at=datetime.now(UTC))
        shown = services.tickets_of_order(reach=Reach(order_id=reservation.pk), now=datetime.now(UTC))
        printed = documents.tickets_pdf(shown, order_id=reservation.pk)
        assert printed is not None
        assert len(re.findall(rb"/Type /Page\b", printed.content)) == 1

        give_back(reservation)
        assert self.get(reservation, ".pdf").status_code == 404
        assert documents.order_documents(Reach(order_id=reservation.pk), now=datetime.now(UTC)) == []

    def test_a_forged_link_has_no_files(self) -> None:
        assert (
            Client().get("/t/nonsense.pdf").status_code == Client().get("/t/nonsense.ics").status_code == 404
        )
