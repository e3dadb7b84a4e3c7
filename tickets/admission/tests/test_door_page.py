"""The page of the door without JavaScript, and the parts of it that its script needs."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import zxingcpp
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.shop import formats
from tests.clients import api_of, permit
from tickets.admission import labels, pictures, rules
from tickets.admission.api import door_views
from tickets.admission.models import Scan, Ticket
from tickets.admission.permissions import Permission
from tickets.admission.tests.admitting import paid, tickets_of
from tickets.admission.tests.doors import codes_of, is_admitted_once
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def steward(user_make: Callable[..., User]) -> User:
    return permit(user_make(), Permission.USE_DOOR, Permission.UNDO_ADMISSION)


@pytest.fixture
def page(steward: User) -> Client:
    client = Client(headers={"accept": "text/html"})
    client.force_login(steward)
    return client


@pytest.fixture
def reservation(buyer: User, ticket_type: TicketType) -> Reservation:
    return paid(buyer, ticket_type, 2)


@pytest.fixture
def here(reservation: Reservation) -> str:
    return f"/door/?event={reservation.ticket_type.event_id}&gate=North"


def answer_of(response: Any) -> str:
    return response.context["answer"]["result"]


def test_an_event_and_a_gate_are_chosen(page: Client, reservation: Reservation) -> None:
    choose = page.get("/door/")

    assert choose.status_code == 200
    assert reservation.ticket_type.event.name in choose.content.decode()
    foreign = reservation.ticket_type.event_id + 1
    assert page.get(f"/door/?event={foreign}&gate=North").status_code == 400, "no such event"
    assert page.get(f"/door/?event={foreign}").status_code == 200, "the page asks for the gate"


@pytest.mark.parametrize(
    "place",
    ["event=x&gate=N", "event=1&gate=", "gate=N", f"event={2**63}&gate=N", f"event=1&gate={'g' * 61}"],
)
def test_an_unknown_event_or_gate_leads_back_to_the_choice(page: Client, place: str) -> None:
    answer = page.get(f"/door/?{place}")

    assert answer.status_code == 400
    assert 'role="alert"' in answer.content.decode()


def test_the_page_scans_a_code_and_a_serial_and_refuses_a_second_time(
    page: Client, here: str, reservation: Reservation, buyer: User
) -> None:
    [one, two] = tickets_of(reservation)
    green = page.post(here, {"shown": codes_of(reservation)[0], "scan_id": uuid4()})
    typed = page.post(here, {"shown": two.serial.lower(), "scan_id": uuid4()})
    red = page.post(here, {"shown": one.serial, "scan_id": uuid4()})

    assert [answer_of(each) for each in (green, typed, red)] == ["admitted", "admitted", "already_admitted"]
    assert "at gate North" in red.content.decode()
    assert buyer.username in green.content.decode()
    assert is_admitted_once(one)
    assert is_admitted_once(two)


def test_a_gate_counts_what_it_admitted_itself(page: Client, here: str, reservation: Reservation) -> None:
    def admitted(gate: str) -> str:
        return page.get(here.replace("North", gate)).content.decode()

    page.post(here, {"shown": codes_of(reservation)[0], "scan_id": uuid4()})

    assert '<b data-field="here">1</b>' in admitted("North")
    assert '<b data-field="here">0</b>' in admitted("South")


def when(event: Event) -> str:
    return formats.date_time(event.date, event.time_zone)


def test_two_evenings_with_one_name_are_told_apart(
    page: Client, here: str, reservation: Reservation, ticket_type_make: Callable[..., TicketType]
) -> None:
    event, later = reservation.ticket_type.event, ticket_type_make().event
    Event.objects.filter(pk=later.pk).update(name=event.name, date=event.date + timedelta(days=1))
    later.refresh_from_db()
    gate = page.get(f"/door/?event={later.pk}&gate=North").content.decode()
    form = {"shown": codes_of(reservation)[0], "scan_id": uuid4()}
    refused = page.post(f"/door/?event={later.pk}&gate=North", form)

    assert when(later) in gate
    assert when(event) not in gate
    assert answer_of(refused) == "other_event"
    assert f"{event.name}, {when(event)}" in refused.content.decode()


def test_the_choice_begins_with_the_event_whose_beginning_is_nearest(
    page: Client, ticket_type_make: Callable[..., TicketType]
) -> None:
    events = [ticket_type_make().event_id for _ in range(4)]
    for event, hours in zip(events, (-30, -3, 2, 20), strict=True):
        Event.objects.filter(pk=event).update(date=timezone.now() + timedelta(hours=hours))

    def chosen(address: str) -> list[str]:
        return re.findall(r'<option value="(\d+)" selected', page.get(address).content.decode())

    assert chosen("/door/") == [str(events[2])]
    assert chosen(f"/door/?event={events[0]}") == [str(events[0])]


def test_an_admission_of_another_day_is_shown_with_its_date(
    page: Client, here: str, reservation: Reservation
) -> None:
    [one, _] = tickets_of(reservation)
    page.post(here, {"shown": one.serial, "scan_id": uuid4()})
    at = timezone.now() - timedelta(days=2)
    Scan.objects.update(at=at)
    again = page.post(here, {"shown": one.serial, "scan_id": uuid4()}).content.decode()
    found = page.get(f"{here}&q={one.serial}").content.decode()

    date = formats.date_time(at, reservation.ticket_type.event.time_zone)
    assert again.count(date) == 2, "in the answer and among the newest scans"
    assert found.count(date) == 2, "beside the ticket and among the newest scans"


def test_the_door_of_an_event_of_several_days_can_be_opened_until_it_has_ended_and_sells_no_more(
    page: Client, reservation: Reservation
) -> None:
    event = Event.objects.filter(pk=reservation.ticket_type.event_id)
    name, began = event.get().name, timezone.now() - timedelta(days=6)
    second, sixth, later = (began + timedelta(days=days) for days in (1, 5, 9))
    shown = []
    for ends_at, closes_at in ((None, began), (second, began), (sixth, began), (None, later)):
        event.update(date=began, ends_at=ends_at)
        Inventory.objects.update(closes_at=closes_at)
        shown.append(name in page.get("/door/").content.decode())

    assert shown == [False, False, True, True]


def test_a_gate_of_a_cancelled_event_says_so(page: Client, here: str) -> None:
    said = "This event is cancelled."
    assert said not in page.get(here).content.decode(), "control"
    Inventory.objects.update(paused=True)
    Event.objects.update(status="cancelled")

    assert said in page.get(here).content.decode()


def test_a_form_that_is_sent_again_is_one_scan(page: Client, here: str, reservation: Reservation) -> None:
    form = {"shown": codes_of(reservation)[0], "scan_id": uuid4()}

    assert answer_of(page.post(here, form)) == answer_of(page.post(here, form)) == "admitted"
    assert Scan.objects.count() == 1


def test_an_admission_is_undone_on_the_page(page: Client, here: str, reservation: Reservation) -> None:
    page.post(here, {"shown": codes_of(reservation)[0], "scan_id": (scan_id := uuid4())})
    undone = page.post(here, {"undo": scan_id})

    assert labels.results()["undone"] in undone.content.decode()
    assert tickets_of(reservation)[0].state == "valid"


def test_staff_who_may_only_scan_neither_see_nor_have_undo(
    user_make: Callable[..., User], here: str, reservation: Reservation
) -> None:
    client = Client(headers={"accept": "text/html"})
    client.force_login(permit(user_make(), Permission.USE_DOOR))
    scanned = client.post(here, {"shown": codes_of(reservation)[0], "scan_id": (scan_id := uuid4())})

    assert "data-undo" not in scanned.content.decode()
    assert client.post(here, {"undo": scan_id}).status_code == 403
    assert is_admitted_once(tickets_of(reservation)[0])


def test_a_search_leads_to_the_ticket(page: Client, here: str, reservation: Reservation, buyer: User) -> None:
    found = page.get(f"{here}&q={buyer.username}")

    assert [each["id"] for each in found.context["found"]] == [each.pk for each in tickets_of(reservation)]
    assert page.get(f"{here}&q=%00").context["found"] is None


def test_the_page_that_a_phone_keeps_names_nobody(
    page: Client, here: str, reservation: Reservation, buyer: User
) -> None:
    [ticket, _] = tickets_of(reservation)
    page.post(here, {"shown": ticket.serial, "scan_id": uuid4()})
    page.post(here, {"shown": "no ticket", "scan_id": uuid4()})
    kept, shown = (page.get(address).content.decode() for address in (f"{here}&kept=1", here))

    assert (buyer.username in shown, ticket.serial in shown) == (True, False), "control"
    assert (buyer.username in kept, buyer.email in kept, ticket.serial in kept) == (False, False, True)


def test_a_holder_who_was_erased_is_called_so(
    page: Client, here: str, reservation: Reservation, buyer: User
) -> None:
    [ticket, _] = tickets_of(reservation)
    Ticket.objects.filter(pk=ticket.pk).update(handed_to=Ticket.NOBODY)
    german = {"accept-language": "de"}
    scanned = page.post(here, {"shown": ticket.serial, "scan_id": uuid4()}, headers=german).content.decode()
    found = page.get(f"{here}&q={ticket.serial}", headers=german).content.decode()

    assert [each.count("Name gelöscht") for each in (scanned, found)] == [2, 2]  # also among the newest scans
    assert Ticket.NOBODY not in scanned + found


@pytest.mark.parametrize("form", [{}, {"shown": " "}, {"shown": "x", "scan_id": "7"}, {"undo": "x"}])
def test_an_incomplete_form_is_answered_with_its_fault(page: Client, here: str, form: dict[str, str]) -> None:
    answer = page.post(here, {"scan_id": str(uuid4()), **form})

    assert answer.status_code == 400
    assert Scan.objects.count() == 0


def test_this_page_alone_may_use_the_camera(page: Client, here: str) -> None:
    assert page.get(here)["Permissions-Policy"].startswith("camera=(self)")
    assert page.get("/")["Permissions-Policy"].startswith("camera=()")


def test_the_page_has_a_text_for_every_result() -> None:
    assert set(rules.ScanResult) <= labels.results().keys()


def test_the_service_worker_reaches_the_door_and_nothing_above_it() -> None:
    answer = Client().get("/door/worker.js")

    assert answer["Content-Type"] == "text/javascript"
    assert "Service-Worker-Allowed" not in answer
    assert "connect-src 'self'" in answer["Content-Security-Policy"], "a worker asks for its page"


# Pictures ------------------------------------------------------------------------------------------------
def picture_of(code: str) -> tuple[bytes, int]:
    """Return a grey picture of a code, and its width."""
    image = zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.QRCode).to_image(scale=6)
    view = memoryview(image)
    assert view.shape is not None
    return view.tobytes(), view.shape[1]


def read(api: APIClient, grey: bytes, width: object) -> Any:
    return api.post(f"/door/pictures/?width={width}", grey, content_type="application/octet-stream")


def test_the_server_reads_a_code_from_a_grey_picture(steward: User, reservation: Reservation) -> None:
    [code, _] = codes_of(reservation)
    api = api_of(steward)

    assert read(api, *picture_of(code)).json() == {"code": code}
    assert read(api, bytes(400 * 400), 400).json() == {"code": None}
    assert Scan.objects.count() == 0, "reading is no scan"


@pytest.mark.parametrize(
    ("grey", "width"),
    [
        (b"", 1),
        (b"abc", 2),
        (b"abc", 0),
        (b"abc", "x"),
        (bytes(pictures.MOST_PIXELS + 640), 640),
        (b"abc", 10**9),
    ],
)
def test_a_file_that_is_no_picture_is_refused(steward: User, grey: bytes, width: object) -> None:
    assert read(api_of(steward), grey, width).status_code == 400


def test_a_picture_is_sent_as_its_pixels_and_only_by_the_door(steward: User, api: APIClient) -> None:
    assert api_of(steward).post("/door/pictures/?width=1", {"a": 1}, format="json").status_code == 415
    assert read(api, b"a", 1).status_code == 403


@override_settings(RATE_LIMITS=True)
def test_pictures_have_a_limit(steward: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_views, "PICTURES", replace(door_views.PICTURES, amount=2, seconds=3600))
    api = api_of(steward)
    statuses = [read(api, b"a", 1).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
