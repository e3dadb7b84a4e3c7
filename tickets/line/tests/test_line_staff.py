"""Actions of staff on a line: each is recorded, and shown on every open page at once."""

import html
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from overlord.accounts.models import User
from overlord.kernel.errors import Invalid, NotFound
from tests.clients import api_of, permit
from tests.threads import together
from tickets.line import figures, projections, rules, services, staff_services
from tickets.line.models import Entry, Line, PublicValue, StaffAction
from tickets.line.permissions import Permission
from tickets.line.rules import Action, LineActionRefused, LineOutdated
from tickets.line.tests.lines import HOLD, check, enter, line_make, open_sale, people, serve_all, states
from tickets.models import Event, Inventory, TicketType
from tickets.tests.reserving import waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    return line_make(ticket_type_make, 5, 1)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> User:
    return permit(user_make(), Permission.CONTROL_LINE)


@pytest.fixture
def act(types: list[TicketType], staff: User) -> Callable[..., dict[str, Any]]:
    """Return a call by which staff act on the line."""

    def act(action: Action, text: str = "", seen: str | None = None) -> dict[str, Any]:
        return staff_services.line_act(
            event_id=types[0].event_id,
            actor_id=staff.pk,
            action=action,
            text=text,
            now=timezone.now(),
            seen=seen,
        )

    return act


Act = Callable[..., dict[str, Any]]


class TestServing:
    def test_a_held_line_gives_nothing_until_it_goes_on(self, types: list[TicketType], act: Act) -> None:
        for buyer_id in people(3):
            enter(types[0], buyer_id)
        assert act(Action.HOLD)["held"] is True
        open_sale(types)
        serve_all(types[0])
        assert states(types[0].event_id) == ["waiting"] * 3

        assert act(Action.GO_ON)["held"] is False
        serve_all(types[0])
        assert states(types[0].event_id) == ["given"] * 3
        check(types[0].event_id)

    def test_a_slowed_line_has_as_many_turns_as_its_limit_allows(
        self, types: list[TicketType], act: Act
    ) -> None:
        for buyer_id in people(5):
            enter(types[0], buyer_id)
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        now, given = timezone.now(), []
        Line.objects.update(most_per_minute=60, moved_at=now)
        for seconds in (0.5, 1.1, 1.6, 3.2):
            services.serve(event_id=types[0].event_id, hold=HOLD, now=now + timedelta(seconds=seconds))
            given.append(Entry.objects.filter(state="given").count())

        assert given == [0, 1, 1, 3]

    def test_slower_halves_and_faster_doubles_up_to_no_limit(self, act: Act) -> None:
        with pytest.raises(LineActionRefused):
            act(Action.FASTER)
        assert [_paced(act(Action.SLOWER)) for _ in range(2)] == [(3000, 3000), (1500, 1500)]
        assert [_paced(act(Action.FASTER)) for _ in range(2)] == [(3000, 3000), (None, 0)]

    def test_a_limit_below_one_is_refused_by_the_database(self, types: list[TicketType]) -> None:
        with pytest.raises(IntegrityError, match="line_moves_if_it_is_slow"):
            Line.objects.update(most_per_minute=0)

    def test_the_sale_opens_now_and_places_are_drawn(self, types: list[TicketType], act: Act) -> None:
        for buyer_id in people(3):
            enter(types[0], buyer_id)
        shown = act(Action.OPEN_NOW)

        assert (shown["phase"], shown["drawn"]) == ("serving", 3)
        assert shown["opens_at"] <= timezone.now()
        check(types[0].event_id)
        with pytest.raises(LineActionRefused):
            act(Action.OPEN_NOW)

    def test_a_message_is_in_the_public_frame(self, types: list[TicketType], act: Act) -> None:
        act(Action.MESSAGE, "  Doors open\nlater. ")
        frame = projections.project_lines([types[0].event_id], now=timezone.now())[types[0].event_id]

        assert frame["message"] == "Doors open later."
        assert act(Action.MESSAGE, "")["message"] == ""
        with pytest.raises(Invalid):
            act(Action.MESSAGE, "x" * (rules.LONGEST_MESSAGE + 1))

    @pytest.mark.parametrize("wrong", ["a\x00b", "a\x07b"], ids=["NUL", "bell"])
    def test_a_text_that_no_page_can_show_is_refused(
        self, wrong: str, client: Client, types: list[TicketType], staff: User
    ) -> None:
        client.force_login(staff)
        asked = {"action": "message", "text": wrong}
        by_page = client.post(f"/events/{types[0].event_id}/line/desk/", {**asked, "seen": ""})
        by_api = api_of(staff).post(f"/event/events/{types[0].event_id}/line/actions/", asked, format="json")

        assert (by_page.status_code, by_api.status_code) == (400, 400)
        assert set(by_api.json()["errors"]) == {"text"}
        assert "contains a control character" in by_page.content.decode()
        assert Line.objects.get().message == ""

    def test_what_was_chosen_beside_another_limit_or_message_is_refused(self, act: Act) -> None:
        assert act(Action.SLOWER, seen="")["most_per_minute"] == 3000
        for action, seen in ((Action.SLOWER, ""), (Action.FASTER, ""), (Action.SLOWER, "1500")):
            with pytest.raises(LineOutdated) as refused:
                act(action, seen=seen)
            assert refused.value.facts == {"current": "3000"}
        assert act(Action.FASTER, seen="3000")["most_per_minute"] is None
        with pytest.raises(LineOutdated):
            act(Action.SLOWER, seen="3000")

        act(Action.MESSAGE, "Soon.", seen="")
        with pytest.raises(LineOutdated):
            act(Action.MESSAGE, "Later.", seen="")
        assert act(Action.MESSAGE, "Soon.", seen="")["message"] == "Soon.", "the same form again"
        assert act(Action.MESSAGE, "Later.", seen="Soon.")["message"] == "Later."
        assert act(Action.HOLD, seen="x")["held"] is True, "it replaces nothing"

    def test_each_action_is_recorded_and_a_refused_one_is_not(
        self, act: Act, staff: User, caplog: pytest.LogCaptureFixture
    ) -> None:
        act(Action.HOLD)
        with pytest.raises(LineActionRefused):
            act(Action.GIVE_VALUE, "7")
        act(Action.MESSAGE, "Soon.")

        done = StaffAction.objects.order_by("pk").values_list("actor_id", "action", "text")
        assert list(done) == [(staff.pk, "hold", ""), (staff.pk, "message", "Soon.")]
        assert "failed after the commit" not in caplog.text, "each action is a step in the log too"

    def test_an_event_without_a_line_has_no_actions(self, ticket_type: TicketType, staff: User) -> None:
        def hold(event_id: int) -> None:
            staff_services.line_act(
                event_id=event_id, actor_id=staff.pk, action=Action.HOLD, text="", now=timezone.now()
            )

        with pytest.raises(LineActionRefused):
            hold(ticket_type.event_id)
        with pytest.raises(NotFound):
            hold(999_999)
        Event.objects.filter(pk=ticket_type.event_id).update(opening="draw")
        with pytest.raises(LineActionRefused, match="Nobody can join"):
            hold(ticket_type.event_id)


def _paced(line: dict[str, Any]) -> tuple[int | None, int]:
    """Return the limit of a line per minute, and the pace that people read."""
    return line["most_per_minute"], line["per_minute"]


class TestPublicValue:
    @pytest.fixture
    def types(self, ticket_type_make: Callable[..., TicketType], staff: User) -> list[TicketType]:
        """Return the types of an event whose draw uses a public value that was named before the lobby opened."""
        later = ticket_type_make(capacity=5, opens_at=timezone.now() + timedelta(hours=2))
        Event.objects.filter(pk=later.event_id).update(opening="draw")
        staff_services.line_act(
            event_id=later.event_id, actor_id=staff.pk, action=Action.NAME_VALUE, text="The lottery",
            now=timezone.now(),
        )  # fmt: skip
        Inventory.objects.update(opens_at=timezone.now() + timedelta(minutes=5))
        services.time_passed(hold=HOLD, now=timezone.now())
        return [later]

    def test_the_list_is_closed_and_its_digest_public_before_the_value_is(
        self, types: list[TicketType], act: Act, tmp_path: Path
    ) -> None:
        event_id = types[0].event_id
        buyers = people(9)
        for buyer_id in buyers:
            enter(types[0], buyer_id)
        with pytest.raises(LineActionRefused):
            act(Action.GIVE_VALUE, "6 14 38")  # the list is not closed
        with pytest.raises(LineActionRefused):
            act(Action.NAME_VALUE, "Another lottery")
        open_sale(types)
        serve_all(types[0])
        waiting = projections.line_shown(event_id=event_id, now=timezone.now())
        assert (waiting["phase"], waiting["drawn"], waiting["seed"]) == ("lobby", 9, None)
        assert waiting["public_name"] == "The lottery"
        late = enter(types[0], people(1)[0])
        services.entry_leave(event_id=event_id, buyer_id=buyers[0])
        check(event_id)

        drawn = act(Action.GIVE_VALUE, "6 14 38")
        assert (drawn["digest"], drawn["phase"]) == (waiting["digest"], "serving")
        check(event_id)
        assert late["place"] is None
        assert Entry.objects.get(number=late["number"]).place == 10
        proof = services.proof(event_id=event_id)
        assert _verified(proof, tmp_path)
        assert not _verified(proof | {"public_value": "1 2 3"}, tmp_path), "the value decides the places"

    def test_a_value_that_nobody_named_is_refused_by_the_database(self, types: list[TicketType]) -> None:
        with pytest.raises(IntegrityError, match="line_value_was_named"):
            Line.objects.update(public_value="1")

    def test_a_lobby_that_opens_while_staff_name_the_value_has_its_name(
        self,
        ticket_type_make: Callable[..., TicketType],
        staff: User,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        due = ticket_type_make(opens_at=timezone.now() + timedelta(minutes=5))
        Event.objects.filter(pk=due.event_id).update(opening="draw")
        name, is_named = staff_services._name_value, threading.Event()

        def name_slowly(*given: Any) -> None:
            name(*given)
            is_named.set()
            waiting_for_a_lock(1)

        def open_lobby() -> None:
            assert is_named.wait(timeout=60)
            services.lobby_open(event_id=due.event_id, now=timezone.now())

        monkeypatch.setattr(staff_services, "_name_value", name_slowly)
        asked: dict[str, Any] = {"action": Action.NAME_VALUE, "text": "The lottery", "now": timezone.now()}
        act = partial(staff_services.line_act, event_id=due.event_id, actor_id=staff.pk, **asked)
        results = together(act, open_lobby)

        assert not [each for each in results if isinstance(each, Exception)]
        assert Line.objects.get(pk=due.event_id).public_name == "The lottery"

    def test_the_proof_is_secret_while_the_draw_waits(self, types: list[TicketType]) -> None:
        enter(types[0], people(1)[0])
        open_sale(types)
        serve_all(types[0])

        assert Line.objects.get().digest is not None
        with pytest.raises(NotFound):
            services.proof(event_id=types[0].event_id)


def _verified(proof: dict[str, Any], folder: Path) -> bool:
    """Return whether the script of the documents finds the places that were drawn."""
    (folder / "proof.json").write_text(json.dumps(proof))
    script = Path(settings.BASE_DIR) / "docs/verify_line.py"
    said = subprocess.run(
        [sys.executable, str(script), str(folder / "proof.json")], capture_output=True, text=True, check=True
    )
    drawn = Entry.objects.filter(number__lte=proof["drawn"])
    found = {int(number): place for number, place in json.loads(said.stdout).items()}
    return found == dict(drawn.values_list("number", "place"))


class TestFigures:
    def test_the_figures_tell_how_many_wait_for_each_type_and_when_it_ends(
        self, types: list[TicketType]
    ) -> None:
        for buyer_id in people(8):
            enter(types[0], buyer_id, 2, second=[(types[1].pk, 1)])
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        before = figures.line_figures(event_id=types[0].event_id, now=timezone.now())
        assert before.states == {"waiting": 8, "given": 0, "passed": 0, "left": 0}
        assert [(each.wished, each.there) for each in before.wishes] == [(16, 5), (0, 1)]
        assert sum(n for _, n in before.by_minute) == 8
        Line.objects.update(per_minute=4)
        now = timezone.now()
        ends_at = figures.line_figures(event_id=types[0].event_id, now=now).ends_at
        assert ends_at == now + timedelta(minutes=2)

        serve_all(types[0])
        after = figures.line_figures(event_id=types[0].event_id, now=timezone.now())
        assert after.states == {"waiting": 5, "given": 3, "passed": 0, "left": 0}
        assert after.ends_at is None, "no tickets are left, so the end is unknown"


class TestByPageAndApi:
    def test_staff_act_by_api(self, types: list[TicketType], staff: User) -> None:
        api, url = api_of(staff), f"/event/events/{types[0].event_id}/line/actions/"
        held = api.post(url, {"action": "hold"}, format="json")

        assert (held.status_code, held.json()["held"]) == (200, True)
        assert [(each["actor"], each["action"]) for each in api.get(url).json()] == [(staff.username, "hold")]
        assert api.post(url, {"action": "stop"}, format="json").status_code == 400
        refused = api.post(url, {"action": "give_value", "text": "1"}, format="json")
        assert (refused.status_code, refused.json()["code"]) == (409, "line_action_refused")
        slower = {"action": "slower", "seen": ""}
        assert [api.post(url, slower, format="json").status_code for _ in range(2)] == [200, 409]
        outdated = api.post(url, slower, format="json").json()
        assert (outdated["code"], outdated["current"]) == ("line_outdated", "3000")

    def test_staff_act_by_the_page(self, client: Client, types: list[TicketType], staff: User) -> None:
        client.force_login(staff)
        desk = f"/events/{types[0].event_id}/line/desk/"
        assert "Pause the line" in client.get(desk).content.decode()
        done = client.post(desk, {"action": "hold"}, follow=True).content.decode()
        assert "The organiser has paused the line" in done
        assert staff.username in done
        assert client.post(desk, {"action": "stop"}).status_code == 400
        assert client.post(desk, {"action": "give_value", "text": "1"}).status_code == 409
        client.post(desk, {"action": "go_on"})
        StaffAction.objects.update(at=datetime(2030, 1, 1, 12, 30, tzinfo=UTC))
        record = client.get(desk).content.decode().partition("Actions so far")[2]
        assert (record.count("2030</h3>"), record.count(">12:30"), record.count("2030,")) == (1, 2, 0)
        enter(types[0], staff.pk)
        Line.objects.update(message="Soon.")
        assert "Soon." in client.get(f"/events/{types[0].event_id}/line/").content.decode()

    def test_two_people_at_the_desk_do_not_undo_each_other(
        self, client: Client, types: list[TicketType], staff: User
    ) -> None:
        client.force_login(staff)
        desk = f"/events/{types[0].event_id}/line/desk/"
        both = forms_of(client.get(desk))
        assert client.post(desk, both["moves"] | {"action": "slower"}).status_code == 302
        refused = client.post(desk, both["moves"] | {"action": "slower"})
        assert refused.status_code == 409
        assert "Somebody else has made a change since you opened the page." in refused.content.decode()
        assert Line.objects.get().most_per_minute == 3000
        assert client.post(desk, forms_of(refused)["moves"] | {"action": "slower"}).status_code == 302
        assert Line.objects.get().most_per_minute == 1500

        assert client.post(desk, both["message"] | {"text": "Doors at 8."}).status_code == 302
        refused = client.post(desk, both["message"] | {"text": "Doors at 9."})
        assert refused.status_code == 409
        assert "Message to everybody in line: Doors at 8." in refused.content.decode()
        again = forms_of(refused)["message"]
        assert (again["seen"], again["text"]) == ("Doors at 8.", "Doors at 9."), "what was written is kept"
        assert client.post(desk, again).status_code == 302
        assert Line.objects.get().message == "Doors at 9."

    def test_a_name_of_the_public_value_is_not_replaced_unseen(
        self, client: Client, ticket_type_make: Callable[..., TicketType], staff: User
    ) -> None:
        later = ticket_type_make(capacity=5, opens_at=timezone.now() + timedelta(hours=2))
        Event.objects.filter(pk=later.event_id).update(opening="draw")
        client.force_login(staff)
        desk = f"/events/{later.event_id}/line/desk/"
        both = forms_of(client.get(desk))["name"]

        assert client.post(desk, both | {"text": "A lottery"}).status_code == 302
        assert client.post(desk, both | {"text": "A beacon"}).status_code == 409
        assert PublicValue.objects.get().name == "A lottery"

    def test_the_desk_has_each_form_and_shows_those_of_the_phase(
        self, client: Client, ticket_type_make: Callable[..., TicketType], staff: User
    ) -> None:
        """The script shows and hides them, so that it need not bind new ones."""
        later = ticket_type_make(capacity=5, opens_at=timezone.now() + timedelta(hours=2))
        Event.objects.filter(pk=later.event_id).update(opening="draw")
        client.force_login(staff)
        desk = f"/events/{later.event_id}/line/desk/"
        shown = [shown_forms(client.get(desk))]
        client.post(desk, {"action": "name_value", "text": "The lottery"})
        Inventory.objects.update(opens_at=timezone.now() + timedelta(minutes=5))
        services.time_passed(hold=HOLD, now=timezone.now())
        shown.append(shown_forms(client.get(desk)))
        open_sale([later])
        services.time_passed(hold=HOLD, now=timezone.now())
        shown.append(shown_forms(client.get(desk)))
        client.post(desk, {"action": "give_value", "text": "6 14 38"})
        shown.append(shown_forms(client.get(desk)))

        moves = ["moves", "message"]
        assert shown == [["name"], [*moves, "open_now"], [*moves, "value"], moves]

    def test_the_desk_of_an_empty_line_names_no_last_turn_and_either_pauses_or_resumes(
        self, client: Client, types: list[TicketType], staff: User
    ) -> None:
        client.force_login(staff)
        desk = f"/events/{types[0].event_id}/line/desk/"

        def shown() -> list[str]:
            facts = re.findall(r'value="(hold|go_on)"|(Last turn)', client.get(desk).content.decode())
            return ["".join(each) for each in facts]

        assert shown() == ["hold"]
        client.post(desk, {"action": "hold"})
        assert shown() == ["go_on"]
        for buyer_id in people(1):
            enter(types[0], buyer_id)
        assert shown() == ["Last turn", "go_on"]
        client.post(desk, {"action": "go_on"})
        open_sale(types)
        services.draw(event_id=types[0].event_id)
        serve_all(types[0])
        assert shown() == ["hold"], "the turn of everybody has come"
        assert figures.line_figures(event_id=types[0].event_id, now=timezone.now()).ends_at is None


def forms_of(answer: HttpResponse) -> dict[str, dict[str, str]]:
    """Return the fields of each form of the desk, as a browser sends them."""
    forms = re.findall(r'<form [^>]*data-part="(\w+)".*?</form>', answer.content.decode(), re.DOTALL)
    texts = re.split(r'<form [^>]*data-part="\w+"', answer.content.decode())[1:]
    return {part: _fields(text.partition("</form>")[0]) for part, text in zip(forms, texts, strict=True)}


def _fields(form: str) -> dict[str, str]:
    inputs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    texts = re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>([^<]*)</textarea>', form)
    return {name: html.unescape(value) for name, value in inputs + texts}


def shown_forms(answer: HttpResponse) -> list[str]:
    """Return the forms that the desk shows, and the button that opens the sale if it has it."""
    page = answer.content.decode()
    shown = re.findall(r'<form [^>]*data-part="(\w+)">', page)
    return shown + (["open_now"] if 'value="open_now"' in page else [])
