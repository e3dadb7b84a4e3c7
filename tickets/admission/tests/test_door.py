"""The door by its API: each ticket admits once, each scan counts once, and a door knows the scans of the others."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.rendering import dumps
from realtime import store, streams
from tests.clients import api_of, permit
from tests.live_contract import check
from tests.openapi import check_answer
from tests.threads import together
from tickets.admission import operations, projections
from tickets.admission.known_keys import KnownKey, known_key
from tickets.admission.models import Key, Scan, Ticket
from tickets.admission.permissions import Permission
from tickets.admission.tests.admitting import give_back, paid, tickets_of
from tickets.admission.tests.doors import SCANS, codes_of, is_admitted_once, scan, scan_by_api
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def door(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(username="dora"), Permission.USE_DOOR))


@pytest.fixture
def supervisor(user_make: Callable[..., User]) -> APIClient:
    return api_of(permit(user_make(), Permission.USE_DOOR, Permission.UNDO_ADMISSION))


@pytest.fixture
def reservation(buyer: User, ticket_type: TicketType) -> Reservation:
    return paid(buyer, ticket_type, 2)


class TestScan:
    def test_a_ticket_is_admitted_once_and_the_second_time_tells_when_where_and_by_whom(
        self, door: APIClient, buyer: User, reservation: Reservation
    ) -> None:
        [code, _] = codes_of(reservation)
        green = scan_by_api(door, code=code).json()
        red = scan_by_api(door, code=f" {code}\r", gate="South").json()

        [ticket, other] = tickets_of(reservation)
        assert green["result"] == "admitted"
        assert green["ticket"] == {
            "id": ticket.pk,
            "serial": ticket.serial,
            "state": "admitted",
            "seat": 1,
            "seats": 2,
            "holder": "",
            "holder_erased": False,
            "buyer": buyer.username,
            "email": buyer.email,
            "event": ticket.event_id,
            "event_name": reservation.ticket_type.event.name,
            "event_date": None,
            "event_time_zone": None,
            "ticket_type": reservation.ticket_type_id,
            "ticket_type_name": reservation.ticket_type.name,
        }
        assert (red["result"], red["first"]) == ("already_admitted", green["first"])
        assert (red["first"]["gate"], red["first"]["by"]) == ("North", "dora")
        assert is_admitted_once(ticket)
        assert (ticket.admitted_gate, other.state) == ("North", "valid")

    def test_the_same_scan_ten_times_is_one_admission(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        shown = {"scan_id": str(uuid4()), "code": codes_of(reservation)[0]}
        answers = [scan_by_api(door, **shown).json() for _ in range(10)]

        assert answers == [answers[0]] * 10
        assert answers[0]["result"] == "admitted"
        assert Scan.objects.count() == 1

    def test_a_serial_opens_the_door_as_a_person_types_it(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        serial = tickets_of(reservation)[0].serial
        typed = f"{serial[:5]}-{serial[5:]} ".lower()

        assert scan_by_api(door, serial=typed).json()["result"] == "admitted"

    def test_a_revoked_ticket_is_refused(self, door: APIClient, reservation: Reservation) -> None:
        [code, _] = codes_of(reservation)
        give_back(reservation)
        answer = scan_by_api(door, code=code).json()

        assert (answer["result"], answer["first"]) == ("revoked", None)
        assert set(Ticket.objects.values_list("state", flat=True)) == {"revoked"}

    def test_an_earlier_code_of_a_ticket_is_refused(self, door: APIClient, reservation: Reservation) -> None:
        [earlier, _] = codes_of(reservation)
        Ticket.objects.update(issue=2)

        assert scan_by_api(door, code=earlier).json()["result"] == "revoked"
        assert scan_by_api(door, code=codes_of(reservation)[0]).json()["result"] == "admitted"

    def test_a_ticket_that_was_handed_over_opens_by_its_new_code_only_and_the_door_knows(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        [earlier, _] = codes_of(reservation)
        [ticket, _] = tickets_of(reservation)
        store.marks_finish(store.marks_take(limit=99), version=0)
        with db.transaction():
            locked = operations.ticket_lock(order_id=reservation.pk, ticket_id=ticket.pk)
            operations.ticket_hand_over(ticket=locked, handed_to="zoe@example.org", holder="")

        assert streams.door(ticket.event_id) in [mark.stream for mark in store.marks_take(limit=99)]
        assert scan_by_api(door, code=earlier).json()["result"] == "revoked"
        assert scan_by_api(door, serial=ticket.serial).json()["result"] == "unknown"
        ticket.refresh_from_db()
        admitted = scan_by_api(door, serial=ticket.serial).json()
        assert (admitted["result"], admitted["ticket"]["holder"]) == ("admitted", "zoe@example.org")

    def test_a_code_of_a_retired_key_is_refused(self, door: APIClient, reservation: Reservation) -> None:
        [code, _] = codes_of(reservation)
        call_command("ticket_keys", str(reservation.ticket_type.event_id), "--retire")

        assert scan_by_api(door, code=code).json()["result"] == "revoked"

    def test_a_retired_key_is_refused_even_where_it_is_cached(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        [one, two] = codes_of(reservation)
        assert scan_by_api(door, code=one).json()["result"] == "admitted"
        call_command("ticket_keys", str(reservation.ticket_type.event_id), "--retire")

        assert scan_by_api(door, code=two).json()["result"] == "revoked"

    def test_a_scan_is_one_statement_once_its_key_is_known(
        self, buyer: User, reservation: Reservation, django_assert_num_queries: Callable[[int], Any]
    ) -> None:
        [one, two] = codes_of(reservation)
        with django_assert_num_queries(2):
            assert scan(one, actor_id=buyer.pk)["result"] == "admitted"
        with django_assert_num_queries(1):
            assert scan(two, actor_id=buyer.pk)["result"] == "admitted"

    def test_an_unknown_key_is_read_again(self, reservation: Reservation) -> None:
        event_id, key_id = reservation.ticket_type.event_id, 2**40 + secrets.randbelow(2**40)
        assert known_key(key_id) is None
        Key.objects.create(id=key_id, event_id=event_id, salt=b"", public_key=b"x", created=timezone.now())
        assert known_key(key_id) == KnownKey(event=event_id, public=b"x")

    def test_a_ticket_of_another_event_is_refused_and_stays_valid(
        self, door: APIClient, reservation: Reservation, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        here = ticket_type_make().event_id
        answer = scan_by_api(door, code=codes_of(reservation)[0], event=here).json()

        event = reservation.ticket_type.event
        ticket = answer["ticket"]
        assert answer["result"] == "other_event"
        assert (ticket["event_name"], ticket["event_time_zone"]) == (event.name, event.time_zone)
        assert datetime.fromisoformat(ticket["event_date"]) == event.date
        assert tickets_of(reservation)[0].state == "valid"

    @pytest.mark.parametrize("code", ["x", "0" * 131, "V5" + "0" * 129, "\N{SNOWMAN}" * 131, "A" * 300])
    def test_a_text_that_is_no_ticket_is_unknown(self, door: APIClient, code: str) -> None:
        answer = scan_by_api(door, code=code)

        assert (answer.status_code, answer.json()["result"]) == (200, "unknown")
        assert answer.json()["ticket"] is None

    def test_a_forged_code_is_unknown(self, door: APIClient, reservation: Reservation) -> None:
        [code, other] = codes_of(reservation)
        forged = code[:40] + other[40:]

        assert scan_by_api(door, code=forged).json()["result"] == "unknown"
        assert tickets_of(reservation)[0].state == "valid"

    def test_a_scan_is_recorded_when_it_was_made_if_that_can_be(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        codes, now = codes_of(reservation), timezone.now()
        early = scan_by_api(door, code=codes[0], at=(now - timedelta(hours=1)).isoformat()).json()
        late = scan_by_api(door, code=codes[1], at=(now + timedelta(days=365)).isoformat()).json()

        made = {str(scan.scan_id): scan.at for scan in Scan.objects.all()}
        assert made[early["scan_id"]] == now - timedelta(hours=1)
        assert now <= made[late["scan_id"]] <= timezone.now()

    def test_a_time_without_an_offset_is_in_utc_whatever_the_time_zone_of_the_shop(
        self, door: APIClient, reservation: Reservation, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Europe/Berlin"
        made = datetime.now(UTC) - timedelta(hours=3)
        bare = made.replace(tzinfo=None).isoformat()
        assert scan_by_api(door, code=codes_of(reservation)[0], at=bare).status_code == 200
        assert Scan.objects.get().at == made

    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
    @pytest.mark.parametrize(
        ("at", "status"),
        [
            ("0001-01-01T00:00:00", 200),
            ("0001-01-01T00:00:00+02:00", 400),
            ("9999-12-31T23:59:59", 200),
            ("9999-12-31T23:59:59-02:00", 400),
        ],
    )
    def test_the_first_and_the_last_year_are_no_fault_of_ours(
        self, door: APIClient, reservation: Reservation, settings: Any, zone: str, at: str, status: int
    ) -> None:
        settings.TIME_ZONE = zone
        assert scan_by_api(door, code=codes_of(reservation)[0], at=at).status_code == status

    @pytest.mark.parametrize(
        "wrong",
        [
            {"scan_id": "7"},
            {"scan_id": None},
            {"gate": ""},
            {"gate": "g" * 61},
            {"gate": "a\0b"},
            {"code": ""},
            {"code": "\0"},
            {"code": "A" * 301},
            {"code": ["x"]},
            {"serial": "X"},
            {"event": 0},
            {"event": 2**63},
            {"event": "1e3"},
            {"at": "yesterday"},
        ],
    )
    def test_a_malformed_scan_is_refused(self, door: APIClient, wrong: dict[str, object]) -> None:
        answer = scan_by_api(door, **{"code": "x", **wrong})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert Scan.objects.count() == 0

    @pytest.mark.parametrize("scan_id", [True, 1, 2**128 - 1, None, [], ""])
    def test_an_id_that_is_no_text_is_invalid(self, door: APIClient, scan_id: Any) -> None:
        """Otherwise, all scans of a client that sends `true` would get the answer to the first one."""
        refused = scan_by_api(door, code="x", scan_id=scan_id)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["scan_id"])
        assert not Scan.objects.exists()

    def test_an_unknown_event_is_not_found(self, door: APIClient) -> None:
        assert scan_by_api(door, code="x", event=2**63 - 1).status_code == 404
        assert not Scan.objects.exists()


class TestUndo:
    def test_an_admission_is_undone_once_and_its_ticket_opens_the_door_again(
        self, supervisor: APIClient, reservation: Reservation
    ) -> None:
        [code, _] = codes_of(reservation)
        scan_id = scan_by_api(supervisor, code=code).json()["scan_id"]
        undone = supervisor.post(f"{SCANS}{scan_id}/undo/")
        again = supervisor.post(f"{SCANS}{scan_id}/undo/")

        assert undone.status_code == again.status_code == 200
        assert undone.json() == again.json()
        assert undone.json()["ticket"]["state"] == "valid"
        assert scan_by_api(supervisor, code=code, scan_id=scan_id).json()["result"] == "admitted", "a repeat"
        assert tickets_of(reservation)[0].state == "valid", "and a repeat admits nobody"
        second = scan_by_api(supervisor, code=code).json()
        assert second["result"] == "admitted"
        assert is_admitted_once(tickets_of(reservation)[0])
        third = scan_by_api(supervisor, code=code).json()
        assert (third["result"], third["first"]["scan_id"]) == ("already_admitted", second["scan_id"])

    def test_an_id_in_capitals_or_without_hyphens_is_the_same_id(
        self, supervisor: APIClient, reservation: Reservation
    ) -> None:
        scan_id = uuid4()
        shown = {"code": codes_of(reservation)[0], "scan_id": str(scan_id).upper()}
        assert scan_by_api(supervisor, **shown).json()["scan_id"] == str(scan_id)

        for written in (str(scan_id).upper(), scan_id.hex):
            assert supervisor.post(f"{SCANS}{written}/undo/").json()["scan_id"] == str(scan_id)
        for wrong in ("-" * 36, f"{scan_id.hex}0", "x" * 32):
            assert supervisor.post(f"{SCANS}{wrong}/undo/").status_code == 404

    def test_a_late_undo_leaves_a_later_admission_alone(
        self, supervisor: APIClient, reservation: Reservation
    ) -> None:
        [code, _] = codes_of(reservation)
        first = scan_by_api(supervisor, code=code).json()["scan_id"]
        supervisor.post(f"{SCANS}{first}/undo/")
        scan_by_api(supervisor, code=code)
        supervisor.post(f"{SCANS}{first}/undo/")

        assert is_admitted_once(tickets_of(reservation)[0])

    def test_a_revoked_ticket_stays_revoked(self, supervisor: APIClient, reservation: Reservation) -> None:
        scan_id = scan_by_api(supervisor, code=codes_of(reservation)[0]).json()["scan_id"]
        give_back(reservation)

        assert supervisor.post(f"{SCANS}{scan_id}/undo/").json()["ticket"]["state"] == "revoked"

    def test_a_scan_that_admitted_nobody_cannot_be_undone(self, supervisor: APIClient) -> None:
        scan_id = scan_by_api(supervisor, code="x").json()["scan_id"]
        refused = supervisor.post(f"{SCANS}{scan_id}/undo/")

        assert (refused.status_code, refused.json()["code"]) == (409, "not_admitted")
        assert supervisor.post(f"{SCANS}{uuid4()}/undo/").status_code == 404

    def test_staff_who_scan_may_not_undo(self, door: APIClient, reservation: Reservation) -> None:
        scan_id = scan_by_api(door, code=codes_of(reservation)[0]).json()["scan_id"]

        assert door.post(f"{SCANS}{scan_id}/undo/").status_code == 403
        assert is_admitted_once(tickets_of(reservation)[0])


class TestSettling:
    """Scans of a gate without a network arrive later, in batches, perhaps more than once."""

    def settle(self, api: APIClient, *scans: dict[str, Any]) -> list[str]:
        answer = api.post(f"{SCANS}batch/", {"scans": scans}, format="json")
        assert answer.status_code == 200
        return [each["result"] for each in answer.json()]

    def kept(self, code: str, **given: Any) -> dict[str, Any]:
        return {"scan_id": str(uuid4()), "gate": "South", "code": code, **given}

    def test_each_settled_scan_counts_once(self, door: APIClient, reservation: Reservation) -> None:
        kept = [self.kept(code) for code in codes_of(reservation)]

        assert self.settle(door, *kept) == self.settle(door, *kept, kept[0])[:2] == ["admitted"] * 2
        assert Scan.objects.count() == 2
        assert all(is_admitted_once(ticket) for ticket in tickets_of(reservation))

    def test_a_conflict_is_recorded_and_shown(self, door: APIClient, reservation: Reservation) -> None:
        [code, _] = codes_of(reservation)
        event = reservation.ticket_type.event_id
        scan_by_api(door, code=code)
        assert self.settle(door, self.kept(code)) == ["already_admitted"]

        newest = door.get(f"/door/events/{event}/scans/").json()
        conflicts = door.get(f"/door/events/{event}/scans/?conflicts=true").json()
        assert [each["conflict"] for each in newest] == [True, False]
        assert conflicts == newest[:1]
        assert conflicts[0]["first"]["gate"] == "North"

    def test_a_scan_whose_answer_was_lost_is_a_conflict_if_it_was_refused(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        [code, _] = codes_of(reservation)
        scan_by_api(door, code=code)
        kept = self.kept(code)
        scan_by_api(door, **kept)  # the gate got no answer, and let the holder in
        assert not Scan.objects.get(scan_id=kept["scan_id"]).unchecked
        assert self.settle(door, kept) == ["already_admitted"]

        assert Scan.objects.get(scan_id=kept["scan_id"]).unchecked

    def test_a_scan_of_an_event_that_does_not_exist_refuses_no_other(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        [first, second] = codes_of(reservation)
        event = reservation.ticket_type.event_id
        strays = [self.kept(first, event=999999), self.kept("no code", event=999999)]
        batch = [*strays, self.kept(second, event=event)]

        assert self.settle(door, *batch) == ["other_event", "unknown", "admitted"]
        assert self.settle(door, *batch) == ["other_event", "unknown", "admitted"], "each counts once"
        assert Scan.objects.count() == 3
        [conflict] = door.get(f"/door/events/{event}/scans/?conflicts=true").json()
        assert conflict["scan_id"] == strays[0]["scan_id"], "the event of the ticket shows who was let in"
        [ticket, other] = tickets_of(reservation)
        assert (ticket.state, is_admitted_once(other)) == ("valid", True)

    def test_a_batch_has_a_limit_and_one_malformed_scan_refuses_it(self, door: APIClient) -> None:
        for scans in ([], [self.kept("x")] * 201, [self.kept("x"), {}]):
            answer = door.post(f"{SCANS}batch/", {"scans": scans}, format="json")
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert Scan.objects.count() == 0


class TestList:
    def listed(self, door: APIClient, event: int, since: int = 0) -> dict:
        answer = door.get(f"/door/events/{event}/list/?since={since}")
        assert answer.status_code == 200
        return answer.json()

    def version(self, door: APIClient, event: int) -> int:
        """Return a version since which nothing has changed.

        While another transaction is open, such as an ANALYZE, a list repeats the changes of the last one.
        """
        while True:
            version: int = self.listed(door, event)["version"]
            if not self.listed(door, event, version)["tickets"]:
                return version

    def test_the_list_has_all_tickets_once_and_then_only_changes(
        self, door: APIClient, supervisor: APIClient, reservation: Reservation, buyer: User
    ) -> None:
        event = reservation.ticket_type.event_id
        [code, _] = codes_of(reservation)
        first = self.listed(door, event)
        [one, two] = tickets_of(reservation)
        valid = [reservation.ticket_type_id, 1, "valid", None, ""]
        assert first["complete"]
        assert first["tickets"] == [[one.pk, one.serial, *valid], [two.pk, two.serial, *valid]]
        assert [key["event"] for key in first["keys"]] == [event]
        assert first["ticket_types"] == [{"id": valid[0], "name": reservation.ticket_type.name}]

        version = self.version(door, event)
        scan_id = scan_by_api(door, code=code).json()["scan_id"]
        second = self.listed(door, event, version)
        assert [(each[0], each[4], each[6]) for each in second["tickets"]] == [(one.pk, "admitted", "North")]
        assert not second["complete"]
        version = self.version(door, event)
        supervisor.post(f"{SCANS}{scan_id}/undo/")
        third = self.listed(door, event, version)
        assert [(each[0], each[4]) for each in third["tickets"]] == [(one.pk, "valid")]
        give_back(reservation)
        fourth = self.listed(door, event, third["version"])
        assert [each[4] for each in fourth["tickets"]] == ["revoked"] * 2
        assert self.version(door, event) >= fourth["version"], "in the end nothing is new"

    def test_a_draft_has_no_list(self, door: APIClient, ticket_type: TicketType) -> None:
        address = f"/door/events/{ticket_type.event_id}/list/"
        assert door.get(address).json()["ticket_types"] == [{"id": ticket_type.pk, "name": ticket_type.name}]
        Inventory.objects.update(paused=True)
        Event.objects.update(status="draft")

        assert door.get(address).status_code == 404

    def test_a_change_that_is_committed_after_a_list_is_in_the_next_one(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        event = reservation.ticket_type.event_id
        [ticket, _] = tickets_of(reservation)
        with db.transaction():
            operations.ticket_hand_over(ticket=ticket, handed_to="new@example.org", holder="New")
            [before] = together(lambda: self.listed(door, event))

        after = self.listed(door, event, before["version"])
        assert [each[3] for each in before["tickets"]] == [1, 1]
        assert (ticket.pk, 2) in [(each[0], each[3]) for each in after["tickets"]]

    def test_a_version_of_another_database_gets_the_whole_list(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        listed = self.listed(door, reservation.ticket_type.event_id, 2**63 - 1)

        assert listed["complete"]
        assert len(listed["tickets"]) == 2

    @pytest.mark.parametrize("since", ["-1", "x", str(2**63)])
    def test_a_malformed_version_is_refused(
        self, door: APIClient, reservation: Reservation, since: str
    ) -> None:
        event = reservation.ticket_type.event_id

        assert door.get(f"/door/events/{event}/list/?since={since}").status_code == 400
        assert door.get("/door/events/999999/list/").status_code == 404


class TestSearch:
    def test_a_ticket_is_found_by_serial_name_and_address(
        self, door: APIClient, buyer: User, reservation: Reservation
    ) -> None:
        [one, two] = tickets_of(reservation)
        Ticket.objects.filter(pk=two.pk).update(holder="Zoë Adams")
        search = f"/door/events/{one.event_id}/tickets/"
        found = {
            words: [each["id"] for each in door.get(search, {"q": words}).json()]
            for words in (one.serial, "zoë", buyer.username, buyer.email.upper(), "nobody at all")
        }

        assert list(found.values()) == [[one.pk], [two.pk], [one.pk, two.pk], [one.pk, two.pk], []]

    def test_a_text_that_is_no_part_of_a_serial_is_searched_in_names_and_addresses_only(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        [one, two] = tickets_of(reservation)
        search = f"/door/events/{one.event_id}/tickets/"
        assert [door.get(search, {"q": words}).json() for words in ("--", "- -", "\u2003-\t-")] == [
            [],
            [],
            [],
        ]

        Ticket.objects.filter(pk=two.pk).update(holder="Zoë--Adams")
        assert [each["id"] for each in door.get(search, {"q": "--"}).json()] == [two.pk]

    def test_a_search_tells_who_is_in(self, door: APIClient, reservation: Reservation) -> None:
        scanned = scan_by_api(door, code=codes_of(reservation)[0]).json()
        found = door.get(f"/door/events/{reservation.ticket_type.event_id}/tickets/?q=example").json()

        assert [each["first"] for each in found] == [scanned["first"], None]

    @pytest.mark.parametrize("words", ["", "x", " x ", "x" * 201, "ab\0"])
    def test_a_search_for_too_little_or_too_much_is_refused(self, door: APIClient, words: str) -> None:
        assert door.get("/door/events/1/tickets/", {"q": words}).status_code == 400
        assert door.get("/door/events/1/scans/", {"gate": "\0"}).status_code == 400


def test_a_buyer_has_no_door(api: APIClient, reservation: Reservation) -> None:
    event = reservation.ticket_type.event_id

    assert scan_by_api(api, code=codes_of(reservation)[0]).status_code == 403
    for place in ("list/", "scans/", "tickets/?q=ab"):
        assert api.get(f"/door/events/{event}/{place}").status_code == 403
    assert tickets_of(reservation)[0].state == "valid"


class TestStream:
    def state(self, event: int) -> dict:
        """Return the present state of the door's stream, after a check by the contract."""
        state = projections.project_doors([event], now=timezone.now())[event]
        frame = {"type": "update", "stream": f"door.{event}", "version": 1, "data": state}
        check(json.loads(dumps({**frame, "server_time": timezone.now()})))
        return state

    def test_the_stream_counts_admissions_by_gate_and_minute(
        self, door: APIClient, reservation: Reservation
    ) -> None:
        event = reservation.ticket_type.event_id
        nobody = self.state(event)
        codes = codes_of(reservation)
        for code, gate in zip(codes, ("North", "South"), strict=True):
            scan_by_api(door, code=code, gate=gate)
        kept = {"scan_id": str(uuid4()), "gate": "South", "code": codes[0], "event": event}
        door.post(f"{SCANS}batch/", {"scans": [kept]}, format="json")
        both = self.state(event)

        assert (nobody["tickets"], nobody["admitted"], nobody["gates"]) == (2, 0, [])
        assert both["gates"] == [{"gate": "North", "admitted": 1}, {"gate": "South", "admitted": 1}]
        assert sum(each["admitted"] for each in both["minutes"]) == both["admitted"] == 2
        assert (nobody["conflicts"], both["conflicts"]) == (0, 1)
        assert both["list_version"] > nobody["list_version"]
        give_back(reservation)
        assert self.state(event)["tickets"] == 0

    def test_scans_undos_sales_and_revoking_mark_the_stream(
        self, supervisor: APIClient, buyer: User, ticket_type: TicketType
    ) -> None:
        stream = streams.door(ticket_type.event_id)

        def is_marked() -> bool:
            marks = store.marks_take(limit=99)
            store.marks_finish(marks, version=0)
            return stream in [mark.stream for mark in marks]

        reservation = paid(buyer, ticket_type, 2)
        assert is_marked()
        [code, _] = codes_of(reservation)
        scan_id = scan_by_api(supervisor, code=code).json()["scan_id"]
        assert is_marked()
        supervisor.post(f"{SCANS}{scan_id}/undo/")
        assert is_marked()
        scan_by_api(supervisor, code="of no event")
        assert not is_marked(), "control"
        with db.transaction():
            operations.tickets_revoke(order_id=reservation.pk, now=db.now())
        assert is_marked()
        give_back(reservation)
        assert is_marked()

    def test_a_key_that_is_made_or_retired_is_news_for_the_list(
        self, door: APIClient, buyer: User, ticket_type: TicketType
    ) -> None:
        event = ticket_type.event_id
        reservation = paid(buyer, ticket_type, 1)

        def news() -> tuple[int, bool]:
            marks = store.marks_take(limit=99)
            store.marks_finish(marks, version=0)
            return self.state(event)["list_version"], streams.door(event) in [mark.stream for mark in marks]

        sold, _ = news()
        codes_of(reservation)  # signed by the first key, which is made now
        signed, is_told = news()
        assert (signed > sold, is_told) == (True, True)
        call_command("ticket_keys", str(event))
        turned, is_told = news()
        assert (turned > signed, is_told) == (True, True)
        call_command("ticket_keys", str(event), "--retire")
        retired, is_told = news()
        assert (retired > turned + 1, is_told) == (True, True)
        codes_of(reservation)
        assert news() == (retired, False), "control"

    def test_an_unknown_event_has_no_stream(self) -> None:
        assert projections.project_doors([999999], now=timezone.now()) == {}


def test_every_answer_is_as_the_schema_describes_it(supervisor: APIClient, reservation: Reservation) -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    event, [code, _] = reservation.ticket_type.event_id, codes_of(reservation)
    scanned = scan_by_api(supervisor, code=code)
    again = {"scans": [{"scan_id": str(uuid4()), "gate": "South", "code": code, "event": event}]}
    of_event = "/door/events/{event_id}/"
    for path, method, answer in (
        (SCANS, "post", scanned),
        (SCANS, "post", scan_by_api(supervisor, code="unknown")),
        (SCANS, "post", scan_by_api(supervisor)),
        (f"{SCANS}batch/", "post", supervisor.post(f"{SCANS}batch/", again, format="json")),
        (f"{of_event}list/", "get", supervisor.get(f"/door/events/{event}/list/")),
        (f"{of_event}scans/", "get", supervisor.get(f"/door/events/{event}/scans/")),
        (f"{of_event}tickets/", "get", supervisor.get(f"/door/events/{event}/tickets/?q=example")),
        (f"{SCANS}{{scan_id}}/undo/", "post", supervisor.post(f"{SCANS}{scanned.json()['scan_id']}/undo/")),
    ):
        check_answer(schema, path, method, answer)
