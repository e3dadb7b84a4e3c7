"""The API of a line, its stream, and the proof of a draw."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import EmailCode, User
from overlord.kernel import db
from overlord.kernel.errors import NotFound
from realtime import store, streams
from tests.clients import api_of
from tests.functions import function_replaced
from tests.live_contract import check as check_frame
from tests.threads import together
from tickets import event_operations, event_services
from tickets.line import projections, services
from tickets.line.models import Entry, Line
from tickets.line.tests.lines import (
    draw_in_order,
    enter,
    hold_already,
    line_make,
    open_sale,
    people,
    serve_all,
)
from tickets.models import Event, Inventory, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    return line_make(ticket_type_make, 5, 1)


def url(ticket_type: TicketType, more: str = "") -> str:
    return f"/event/events/{ticket_type.event_id}/line/{more}"


def wish(ticket_type: TicketType, amount: Any = 1) -> dict[str, Any]:
    return {"items": [{"ticket_type": ticket_type.pk, "amount": amount}]}


def frame_of(ticket_type: TicketType) -> dict[str, Any]:
    shown: dict[str, Any] = projections.project_lines([ticket_type.event_id], now=timezone.now())[
        ticket_type.event_id
    ]
    return shown


class TestEntry:
    def test_a_person_enters_looks_changes_and_leaves(self, api: APIClient, types: list[TicketType]) -> None:
        assert api.get(url(types[0])).status_code == 404
        made = api.post(url(types[0]), wish(types[0], 2), format="json")
        changed = api.post(
            url(types[0]), {**wish(types[1]), "second": wish(types[0])["items"]}, format="json"
        )

        assert (made.status_code, changed.status_code) == (201, 200)
        assert made.json()["number"] == changed.json()["number"] == 1
        assert made.json() | {"entered_at": None} == {
            "number": 1, "state": "waiting", "items": wish(types[0], 2)["items"], "second": [], "entered_at": None,
            "place": None, "ahead": None, "seconds": None, "look_by": None, "passed_because": None,
            "reservations": [],
        }  # fmt: skip
        assert api.get(url(types[0])).json() == changed.json()
        assert api.delete(url(types[0])).status_code == 204
        assert api.get(url(types[0])).json()["state"] == "left"
        assert api.delete(url(types[0])).status_code == 404

    def test_a_turn_that_came_without_tickets_has_no_time(
        self, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        enter(types[1], people(1)[0])
        enter(types[1], buyer.pk)
        open_sale(types)
        draw_in_order(types[1].event_id, [1, 2])
        serve_all(types[1])
        shown = api.get(url(types[1])).json()

        assert [shown[name] for name in ("state", "place", "ahead", "seconds")] == ["waiting", 2, 0, None]

    def test_given_tickets_are_shown_to_their_owner_only(
        self, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        other = people(1)[0]
        enter(types[0], other, 2)
        enter(types[0], buyer.pk, 3)
        open_sale(types)
        serve_all(types[0])
        shown = api.get(url(types[0])).json()

        assert (shown["state"], shown["look_by"]) == ("given", None)
        assert [each["amount"] for each in shown["reservations"]] == [3]
        assert Entry.objects.get(buyer_id=other).looked_at is None

    def test_an_entry_that_was_passed_by_tells_the_reason(
        self, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        greedy = User.objects.get(pk=people(1)[0])
        enter(types[0], buyer.pk, 1)
        enter(types[0], greedy.pk, 2)
        hold_already(types[0], greedy.pk)
        open_sale(types)
        serve_all(types[0])
        Entry.objects.filter(state="given").update(look_by=timezone.now())
        serve_all(types[0])

        shown = [each.get(url(types[0])).json() for each in (api, api_of(greedy))]
        assert {each["state"] for each in shown} == {"passed"}
        assert [each["passed_because"] for each in shown] == ["not_looked_at", "own_tickets"]

    @pytest.mark.parametrize(
        "wrong", [{}, {"items": []}, {"items": "2"}, {"items": [{"ticket_type": 1}]}, {"second": [1]}]
    )
    def test_a_malformed_wish_is_refused(
        self, wrong: dict[str, Any], api: APIClient, types: list[TicketType]
    ) -> None:
        assert api.post(url(types[0]), wrong, format="json").status_code == 400

    def test_a_refused_choice_is_named(self, api: APIClient, types: list[TicketType]) -> None:
        twice = wish(types[0])["items"] * 2

        for body in ({"items": twice}, {**wish(types[0]), "second": twice}):
            answer = api.post(url(types[0]), body, format="json")
            assert (answer.status_code, set(answer.json()["errors"])) == (400, {list(body)[-1]})

    @pytest.mark.parametrize("amount", [0, -1, 2**31, "two", 1.5, None])
    def test_a_malformed_amount_is_refused(
        self, amount: Any, api: APIClient, types: list[TicketType]
    ) -> None:
        assert api.post(url(types[0]), wish(types[0], amount), format="json").status_code == 400

    @pytest.mark.parametrize("is_second", [False, True])
    def test_more_than_one_person_may_have_or_than_there_are_is_refused(
        self, is_second: bool, api: APIClient, types: list[TicketType]
    ) -> None:
        TicketType.objects.filter(pk=types[1].pk).update(max_per_user=4)

        def refused(ticket_type: TicketType, amount: int) -> dict[str, Any]:
            asked = wish(ticket_type, amount)
            asked = {**wish(types[0]), "second": asked["items"]} if is_second else asked
            answer = api.post(url(ticket_type), asked, format="json")
            assert answer.status_code == 409
            return dict(answer.json())

        over, few = refused(types[1], 1_000_000), refused(types[0], 6)
        assert (over["code"], over["max_per_user"]) == ("over_limit", 4)
        assert (few["code"], few["available"]) == ("not_enough", 5)
        assert [over["ticket_type"], few["ticket_type"]] == [types[1].pk, types[0].pk]
        assert not Entry.objects.exists()

    def test_without_a_line_it_is_closed_and_without_an_event_missing(
        self, api: APIClient, ticket_type: TicketType
    ) -> None:
        answer = api.post(url(ticket_type), wish(ticket_type), format="json")

        assert (answer.status_code, answer.json()["code"]) == (409, "line_closed")
        assert api.post("/event/events/999999/line/", wish(ticket_type), format="json").status_code == 404

    def test_a_guest_is_refused_where_only_accounts_may_buy(
        self, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        Event.objects.update(buyers="accounts")
        assert api.post(url(types[0]), wish(types[0]), format="json").status_code == 201

        User.objects.filter(pk=buyer.pk).update(is_guest=True)
        answer = api.post(url(types[0]), wish(types[0]), format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "account_required")

    def test_a_guest_enters_with_a_verified_address_only(
        self, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        User.objects.filter(pk=buyer.pk).update(is_guest=True, email="", contact_email="ada@example.org")
        answer = api.post(url(types[0]), wish(types[0]), format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "email_not_verified")

        assert api.post("/register/guest/email/", {"email": "ada@example.org"}).status_code == 202
        code = EmailCode.objects.get().code
        told = api.post("/register/guest/verify/", {"code": code}).json()
        assert told == {"id": buyer.pk, "email": "ada@example.org", "token": None}
        assert api.post(url(types[0]), wish(types[0]), format="json").status_code == 201

    def test_an_address_has_one_place_also_of_an_account(
        self, api: APIClient, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        first, second = user_make(email="ada@example.org"), user_make(email="Ada+2@Example.org")
        enter(types[0], first.pk)

        answer = api_of(second).post(url(types[0]), wish(types[0]), format="json")
        assert (answer.status_code, answer.json()["code"]) == (409, "address_in_line")
        assert Line.objects.get().entered == 1, "no number is spent"

        services.entry_leave(event_id=types[0].event_id, buyer_id=first.pk)
        assert api_of(second).post(url(types[0]), wish(types[0]), format="json").status_code == 201

    def test_two_people_who_enter_at_once_with_one_address_have_one_place(
        self, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        persons = [user_make(email=f"ada+{n}@example.org") for n in range(6)]
        together(*[lambda each=each: enter(types[0], each.pk) for each in persons])

        assert Entry.objects.filter(state="waiting").count() == 1

    def test_control_without_the_comparison_they_would_have_two(
        self, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        migration = import_module("tickets.line.migrations.0006_one_place_per_address")
        pair = [user_make(email=f"ada+{n}@example.org") for n in range(2)]
        with function_replaced("line_enter", migration.FORMER_LINE_ENTER):
            for each in pair:
                enter(types[0], each.pk)

        assert Entry.objects.filter(state="waiting").count() == 2

    def test_nobody_enters_without_a_log_in(self, types: list[TicketType]) -> None:
        assert APIClient().post(url(types[0]), wish(types[0]), format="json").status_code == 401


class TestEvent:
    def test_an_event_tells_how_it_opens_and_whether_the_line_comes_first(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        enter(types[1], people(1)[0])
        enter(types[1], people(1)[0])
        open_sale(types)
        serve_all(types[0])
        shown = api.get(f"/event/events/{types[0].event_id}/").json()

        assert shown["opening"] == "draw"
        assert [each["sale"] for each in shown["tickets"]] == ["open", "line"]


class TestStream:
    def test_every_phase_is_as_described_and_keeps_the_seed_secret(
        self, types: list[TicketType], ticket_type: TicketType
    ) -> None:
        shown = [frame_of(ticket_type), frame_of(types[0])]
        for buyer_id in people(8):
            enter(types[0], buyer_id)
        shown.append(frame_of(types[0]))
        open_sale(types)
        serve_all(types[0])
        shown.append(frame_of(types[0]))

        assert [each["phase"] for each in shown] == ["closed", "lobby", "lobby", "serving"]
        assert [each["entries"] for each in shown] == [0, 0, 8, 8]
        assert [each["seed"] is None for each in shown] == [True, True, True, False]
        assert shown[1]["commitment"] == shown[3]["commitment"]
        for data in shown:
            check_frame(_frame(data))

    def test_the_stream_is_public_and_an_unknown_event_has_none(self) -> None:
        assert streams.get(streams.Kind.LINE).access == streams.Access.PUBLIC
        assert projections.project_lines([999999], now=timezone.now()) == {}

    def test_a_draft_has_none_until_it_is_on_sale_again(
        self, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        event, staff = types[0].event, user_make(is_staff=True)
        assert frame_of(types[0])["phase"] == "lobby"
        for act, is_shown in ((event_services.event_unpublish, False), (event_services.event_publish, True)):
            store.marks_finish(store.marks_take(limit=999), version=1)
            event.refresh_from_db()
            act(staff_id=staff.pk, event_id=event.pk, version=event.version, now=timezone.now())

            assert streams.line(event.pk) in _marked()
            assert (event.pk in projections.project_lines([event.pk], now=timezone.now())) == is_shown

    def test_a_page_of_an_event_that_became_a_draft_meanwhile_is_not_found(
        self, types: list[TicketType]
    ) -> None:
        _draft()

        with pytest.raises(NotFound):
            projections.line_shown(event_id=types[0].event_id, now=timezone.now())

    def test_it_ends_when_the_event_is_deleted(self, types: list[TicketType]) -> None:
        event = types[0].event
        store.marks_finish(store.marks_take(limit=999), version=1)
        with db.transaction():
            event_operations.event_delete(event=event, now=timezone.now())

        assert streams.line(types[0].event_id) in _marked()


def _draft() -> None:
    """Let each event be a draft."""
    Inventory.objects.update(paused=True)
    Event.objects.update(status="draft")


def _marked() -> set[str]:
    """Return the streams that the next flush sends."""
    return {mark.stream for mark in store.marks_take(limit=999)}


def _frame(data: dict[str, Any]) -> dict[str, Any]:
    instant = "2026-01-01T00:00:00Z"
    shown = data | {name: instant if data[name] else None for name in ("opens_at", "closes_at")}
    return {"type": "update", "stream": "line.1", "version": 5, "server_time": instant, "data": shown}


class TestProof:
    def _proof(self, api: APIClient, types: list[TicketType]) -> tuple[dict[str, Any], str]:
        for buyer_id in people(20):
            enter(types[0], buyer_id)
        commitment = Line.objects.get().commitment
        assert api.get(url(types[0], "proof/")).status_code == 404, "secret before the draw"
        open_sale(types)
        serve_all(types[0])
        proof: dict[str, Any] = APIClient().get(url(types[0], "proof/")).json()
        return proof, commitment

    def test_a_short_script_recomputes_every_place(
        self, api: APIClient, types: list[TicketType], tmp_path: Path
    ) -> None:
        proof, commitment = self._proof(api, types)
        said = run(tmp_path, proof, commitment)

        assert len((Path(settings.BASE_DIR) / "docs/verify_line.py").read_text().splitlines()) <= 40
        drawn = {int(number): place for number, place in json.loads(said.stdout).items()}
        assert drawn == dict(Entry.objects.values_list("number", "place"))
        parts = {"commitment", "seed", "digest", "drawn", "public_name", "public_value", "entries"}
        assert set(proof) == parts, "it names nobody"
        _draft()
        assert APIClient().get(url(types[0], "proof/")).status_code == 404

    @pytest.mark.parametrize("forged", ["seed", "entry", "missing"])
    def test_the_script_finds_a_forged_proof(
        self, forged: str, api: APIClient, types: list[TicketType], tmp_path: Path
    ) -> None:
        proof, commitment = self._proof(api, types)
        if forged == "seed":  # chosen after the list was known
            proof["seed"] = "0" * 64
        elif forged == "entry":
            proof["entries"][3][1] = proof["entries"][4][1]
        else:
            proof["entries"].pop()
        said = run(tmp_path, proof, commitment)

        assert said.returncode == 1
        assert said.stderr.startswith("WRONG")


def run(folder: Path, proof: dict[str, Any], commitment: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the documents on a proof."""
    (folder / "proof.json").write_text(json.dumps(proof))
    script = Path(settings.BASE_DIR) / "docs/verify_line.py"
    return subprocess.run(
        [sys.executable, str(script), str(folder / "proof.json"), commitment],
        capture_output=True,
        text=True,
        check=False,
    )
