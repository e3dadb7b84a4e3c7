"""The page of a line without JavaScript."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from overlord.accounts.models import EmailCode, User
from tickets import availability
from tickets.line import selectors, services
from tickets.line.models import Entry, Line
from tickets.line.tests.lines import hold_already, line_make, open_sale, serve_all
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    return line_make(ticket_type_make, 2, 5)


def place(types: list[TicketType]) -> str:
    return f"/events/{types[0].event_id}/line/"


ADA = "ada@example.org"


def post(client: Client, types: list[TicketType], **fields: str) -> str:
    answer = client.post(place(types), fields, headers=SAME_SITE, follow=True)
    return answer.content.decode()


def send(client: Client, types: list[TicketType], *, email: str = ADA, **fields: str) -> str:
    """Send the form, and the code of the mail if the page asks for it."""
    page = post(client, types, email=email, **fields)
    if 'name="code"' not in page:
        return page
    return post(client, types, code=EmailCode.objects.get(email=email).code)


def end_sale(types: list[TicketType], *, why: str) -> None:
    """End the sale of an event: its time has passed, or the event is cancelled."""
    if why == "ended":
        past = timezone.now() - timedelta(minutes=5)
        Inventory.objects.update(opens_at=past, closes_at=past + timedelta(minutes=1))
    else:
        Inventory.objects.update(paused=True)
        Event.objects.update(status="cancelled")
    availability.refresh([types[0].event_id], now=timezone.now())


def test_a_visitor_enters_changes_and_leaves(client: Client, types: list[TicketType]) -> None:
    first, second = types
    page = client.get(place(types)).content.decode()
    assert "Join the line" in page
    assert "csrfmiddlewaretoken" not in page

    entered = send(client, types, **{f"amount_{first.pk}": "2", f"second_amount_{second.pk}": "1"})
    assert "You are in line" in entered
    assert 'http-equiv="refresh"' in entered

    send(client, types, **{f"amount_{second.pk}": "3"})
    [entry] = Entry.objects.all()
    assert (entry.number, entry.choices) == (1, [[[second.pk, 3]]])

    left = send(client, types, leave="yes")
    assert "You are in line" not in left
    assert Entry.objects.get().state == "left"


def test_a_ticket_that_costs_nothing_is_free(
    client: Client, ticket_type_make: Callable[..., TicketType]
) -> None:
    types = line_make(ticket_type_make, 2, 5)
    TicketType.objects.filter(pk=types[0].pk).update(price_minor=0)
    availability.refresh([types[0].event_id], now=timezone.now())
    page = client.get(place(types)).content.decode()
    assert (page.count("· Free"), page.count("· €15.00")) == (2, 2)


def test_the_turn_shows_the_hold(client: Client, types: list[TicketType]) -> None:
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    open_sale(types)
    serve_all(types[0])

    page = client.get(place(types)).content.decode()

    held = Reservation.objects.get()
    assert "It is your turn" in page
    assert f"/checkout/{held.pk}/" in page
    assert Entry.objects.get().looked_at is not None


@pytest.mark.parametrize("page", ["/me/", "/checkout/{}/"])
def test_a_hold_that_another_page_shows_is_looked_at(
    client: Client, types: list[TicketType], page: str
) -> None:
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    open_sale(types)
    serve_all(types[0])
    given = Entry.objects.get()
    assert Client().get(page.format(given.order_id)).status_code == 302, "a stranger sees nothing"
    assert Entry.objects.get().looked_at is None

    assert client.get(page.format(given.order_id)).status_code == 200

    Entry.objects.update(look_by=timezone.now())
    serve_all(types[0])
    assert Entry.objects.get().state == "given"
    assert Reservation.objects.get().state == "held"


def test_a_turn_that_comes_while_the_page_is_made_looks_new_to_its_script(
    client: Client, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that a page from before the turn does not name the hold: then its script shows the turn."""
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    open_sale(types)
    read = services.entry_get

    def read_and_give(**asked: Any) -> dict[str, Any]:
        entry = read(**asked)
        serve_all(types[0])
        return entry

    monkeypatch.setattr(services, "entry_get", read_and_give)
    page = client.get(place(types)).content.decode()

    assert Entry.objects.get().state == "given"
    assert Line.objects.get().served == 1
    assert 'served="0"' in page
    assert 'state="waiting"' in page
    assert 'reservations=""' in page


class TestAPageThatIsOlderThanTheTurn:
    """The turn came, and another device has looked at the tickets; this page still shows the form of before."""

    @pytest.fixture
    def given(self, client: Client, types: list[TicketType]) -> Reservation:
        send(client, types, **{f"amount_{types[0].pk}": "1"})
        open_sale(types)
        serve_all(types[0])
        assert "It is your turn" in client.get(place(types)).content.decode()
        return Reservation.objects.get()

    def test_a_change_changes_the_entry_that_the_form_names_alone(
        self, client: Client, types: list[TicketType]
    ) -> None:
        page = send(client, types, **{f"amount_{types[0].pk}": "1"})
        assert '<input type="hidden" name="entry" value="1">' in page
        assert 'name="entry"' not in Client().get(place(types)).content.decode()

        changed = post(client, types, entry="1", **{f"amount_{types[0].pk}": "2"})
        assert "You are in line" in changed
        for wrong in ("2", "0", "x", str(2**63 - 1)):
            refused = post(client, types, entry=wrong, **{f"amount_{types[1].pk}": "1"})
            assert "You no longer have the place in the line that this page showed." in refused
        assert [each.choices for each in Entry.objects.all()] == [[[[types[0].pk, 2]]]]

    def test_nobody_changes_the_entry_of_another(self, client: Client, types: list[TicketType]) -> None:
        send(client, types, **{f"amount_{types[0].pk}": "1"})
        other = Client()
        send(other, types, email="eve@example.org", **{f"amount_{types[0].pk}": "1"})

        assert "no longer have the place" in post(other, types, entry="1", **{f"amount_{types[0].pk}": "2"})
        assert [each.choices for each in Entry.objects.all()] == [[[[types[0].pk, 1]]]] * 2

    @pytest.mark.parametrize("named", [{"entry": "1"}, {}], ids=["by its number", "without a number"])
    def test_its_form_makes_no_second_entry_and_the_turn_is_shown(
        self, client: Client, types: list[TicketType], given: Reservation, named: dict[str, str]
    ) -> None:
        page = post(client, types, **named, **{f"amount_{types[0].pk}": "1"})

        assert Entry.objects.count() == 1
        assert f"/checkout/{given.pk}/" in page
        assert ("no longer have the place" in page) == bool(named)

    def test_a_code_on_a_second_device_makes_none_either(
        self, types: list[TicketType], given: Reservation
    ) -> None:
        page = send(Client(), types, **{f"amount_{types[0].pk}": "2"})

        assert Entry.objects.count() == 1
        assert f"/checkout/{given.pk}/" in page

    @pytest.mark.usefixtures("given")
    def test_control_without_the_look_for_a_hold_there_are_two(
        self, client: Client, types: list[TicketType], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selectors, "is_given", lambda **_: False)
        post(client, types, **{f"amount_{types[0].pk}": "2"})
        send(Client(), types, **{f"amount_{types[1].pk}": "1"})

        assert [each.state for each in Entry.objects.order_by("number")] == ["given", "waiting"]

    def test_who_has_a_hold_sees_it_until_it_ends_also_with_a_second_entry(
        self, client: Client, types: list[TicketType], given: Reservation
    ) -> None:
        """By the API a person with a hold may enter again."""
        event_id = types[0].event_id
        wished: dict[str, Any] = {"choices": [[(types[0].pk, 2)]], "now": timezone.now()}
        services.entry_make(event_id=event_id, buyer_id=given.buyer_id, **wished)
        assert "It is your turn" in client.get(place(types)).content.decode()

        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert "You are in line" in client.get(place(types)).content.decode()

        services.entry_leave(event_id=event_id, buyer_id=given.buyer_id)
        assert "You are in line" in post(client, types, **{f"amount_{types[1].pk}": "1"}), (
            "the hold has ended"
        )


class TestGuests:
    """A guest enters with an address that was verified by a code, so that one person has one place."""

    def test_the_wish_waits_for_the_code_and_a_wrong_code_enters_nobody(
        self, client: Client, types: list[TicketType]
    ) -> None:
        wish = {f"amount_{types[0].pk}": "2", f"second_amount_{types[1].pk}": "1"}
        asked = post(client, types, email=ADA, **wish)
        code = EmailCode.objects.get().code

        assert f"We sent a code of six digits to {ADA}" in asked
        assert not Entry.objects.exists()
        assert "We sent a code of six digits" in client.get(place(types)).content.decode(), (
            "also after a reload"
        )
        again = client.get(place(types) + "?again=yes").content.decode()
        assert f'value="{ADA}"' in again
        assert f'name="amount_{types[0].pk}" min="0" max="{types[0].max_per_user}" value="2"' in again

        wrong = str((int(code) + 1) % 10**6).zfill(6)
        refused = post(client, types, code=wrong)
        assert "This code is wrong" in refused
        assert 'aria-describedby="error" aria-invalid="true"' in refused
        assert not Entry.objects.exists()
        assert "You are in line" in post(client, types, code=f" {code} ")
        [entry] = Entry.objects.all()
        assert entry.choices == [[[types[0].pk, 2]], [[types[1].pk, 1]]]
        assert User.objects.get(pk=entry.buyer_id).mail_address == ADA

    def test_the_wishes_for_two_lines_are_both_kept_until_the_code_is_entered(
        self, client: Client, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        others = line_make(ticket_type_make, 3)
        wish, other_wish = {f"amount_{types[0].pk}": "2"}, {f"amount_{others[0].pk}": "3"}
        post(client, types, email=ADA, **wish)
        assert "We sent a code" not in client.get(place(others)).content.decode(), "it is for the first line"
        assert "You are in line" in send(client, others, **other_wish)

        page = client.get(place(types)).content.decode()
        assert f'name="amount_{types[0].pk}" min="0" max="{types[0].max_per_user}" value="2"' in page
        assert "We sent a code" not in page, "the address is proven"
        assert "You are in line" in post(client, types, **wish)
        assert [each.choices for each in Entry.objects.order_by("line_id")] == [
            [[[types[0].pk, 2]]],
            [[[others[0].pk, 3]]],
        ]

    def test_a_code_counts_once_and_only_for_its_guest(self, client: Client, types: list[TicketType]) -> None:
        wish = {f"amount_{types[0].pk}": "1"}
        post(client, types, email=ADA, **wish)
        code = EmailCode.objects.get().code
        stranger = Client()
        post(stranger, types, email="eve@example.org", **wish)

        assert "This code is wrong" in post(stranger, types, code=code)
        assert "This code is wrong" in post(Client(), types, code=code)
        assert "You are in line" in post(client, types, code=code)
        assert "This code is wrong" in post(stranger, types, code=code)

    def test_a_guest_who_sends_the_code_again_is_in_line_and_reads_no_error(
        self, client: Client, types: list[TicketType]
    ) -> None:
        """The answer did not arrive, or another tab still shows the form."""
        post(client, types, email=ADA, **{f"amount_{types[0].pk}": "1"})
        code = EmailCode.objects.get().code
        pages = [post(client, types, code=code) for _ in range(2)]

        assert ["You are in line" in page for page in pages] == [True, True]
        assert ['role="alert"' in page for page in pages] == [False, False]
        assert Entry.objects.count() == 1

    @pytest.mark.parametrize("is_known", [False, True], ids=["a new guest", "a guest of another device"])
    def test_a_wish_that_is_refused_after_the_code_is_kept_and_the_address_counts_as_proven(
        self, is_known: bool, client: Client, types: list[TicketType]
    ) -> None:
        first, second = types
        if is_known:
            other = Client()
            send(other, types, **{f"amount_{second.pk}": "1"})
            post(other, types, leave="yes")
        post(client, types, email=ADA, **{f"amount_{first.pk}": "2", f"second_amount_{second.pk}": "1"})
        Inventory.objects.filter(pk=first.pk).update(capacity=1)
        refused = post(client, types, code=EmailCode.objects.get().code)

        assert 'role="alert"' in refused
        for page in (refused, client.get(place(types)).content.decode()):
            assert re.search(rf'name="amount_{first.pk}" [^>]*value="2"', page)
            assert re.search(rf'name="second_amount_{second.pk}" [^>]*value="1"', page)
            assert 'name="email"' not in page
            assert 'name="code"' not in page
        assert "You are in line" in post(client, types, **{f"amount_{first.pk}": "1"})
        post(client, types, leave="yes")
        left = client.get(place(types)).content.decode()
        assert re.search(rf'name="amount_{first.pk}" [^>]*value="0"', left), (
            "it is kept no longer than needed"
        )

    def test_the_same_address_on_a_second_device_is_the_same_place(
        self, client: Client, types: list[TicketType]
    ) -> None:
        wish = {f"amount_{types[0].pk}": "1"}
        send(client, types, **wish)
        second = Client()

        assert "You are in line" in send(second, types, email="Ada@Example.org", **wish)
        assert Entry.objects.get().number == 1
        post(second, types, leave="yes")
        assert "You are in line" not in client.get(place(types)).content.decode()

    @pytest.mark.parametrize("same", ["ada+2@example.org", "ada+lot@EXAMPLE.org"])
    def test_two_addresses_of_one_person_are_one_place(
        self, client: Client, types: list[TicketType], same: str
    ) -> None:
        wish = {f"amount_{types[0].pk}": "1"}
        send(client, types, **wish)

        assert "is already in this line" in send(Client(), types, email=same, **wish)
        assert Entry.objects.count() == 1

    def test_an_address_of_an_account_leads_to_the_log_in(
        self, client: Client, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        account = user_make()

        page = post(client, types, email=account.email, **{f"amount_{types[0].pk}": "2"})

        assert "There is already an account with this e-mail address." in page
        assert not EmailCode.objects.exists()
        assert not User.objects.filter(is_guest=True).exists(), "nothing is left of a refused guest"
        client.post("/login/", {"username": account.email, "password": "correct horse"})
        page = client.get(place(types)).content.decode()
        assert re.search(rf'name="amount_{types[0].pk}" [^>]*value="2"', page), "the wish is kept"
        assert 'name="email"' not in page

    def test_a_guest_who_logs_in_to_an_account_keeps_the_wish(
        self, client: Client, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        account = user_make()
        wish = {f"amount_{types[0].pk}": "2"}
        post(client, types, email="other@example.org", **wish)
        assert User.objects.filter(is_guest=True).exists(), "the session is that of a guest now"

        post(client, types, email=account.email, **wish)
        client.post("/login/", {"username": account.email, "password": "correct horse"})

        page = client.get(place(types)).content.decode()
        assert re.search(rf'name="amount_{types[0].pk}" [^>]*value="2"', page)
        send(client, types, **wish)
        assert client.session["line_wishes"] == {}, "a wish that was entered is forgotten"

    @pytest.mark.parametrize("wrong", ["", "ada", "ada@"])
    def test_a_malformed_address_is_refused(
        self, client: Client, types: list[TicketType], wrong: str
    ) -> None:
        page = post(client, types, email=wrong, **{f"amount_{types[0].pk}": "1"})
        assert 'id="error" role="alert"' in page
        assert 'aria-describedby="email-help error" aria-invalid="true"' in page
        assert not User.objects.filter(is_guest=True).exists()

    def test_a_guest_is_led_to_the_sign_up_where_only_accounts_may_buy(
        self, client: Client, types: list[TicketType]
    ) -> None:
        Event.objects.update(buyers="accounts")

        answer = client.post(place(types), {f"amount_{types[0].pk}": "1", "email": ADA}, headers=SAME_SITE)

        assert answer.headers["Location"].startswith("/signup/")
        assert not EmailCode.objects.exists()
        client.post(answer.headers["Location"], {"email": ADA, "password": "correct horse"})
        page = client.get(place(types)).content.decode()
        assert re.search(rf'name="amount_{types[0].pk}" [^>]*value="1"', page), "the wish is kept"


@pytest.mark.parametrize("amount", ["0", "x", "-1", "99999999999"])
def test_a_number_that_cannot_be_one_enters_nobody(
    client: Client, types: list[TicketType], amount: str
) -> None:
    answer = client.post(place(types), {f"amount_{types[0].pk}": amount}, headers=SAME_SITE)

    assert answer.status_code in (400, 409)
    assert "alert" in answer.content.decode()
    assert not Entry.objects.exists()


def test_who_wishes_more_than_one_person_may_have_reads_the_limit(
    client: Client, types: list[TicketType]
) -> None:
    page = post(client, types, email=ADA, **{f"amount_{types[1].pk}": "11"})

    assert f"{types[1].name}: The limit is 10 tickets of this type per person." in page
    assert not EmailCode.objects.exists()


def test_who_wishes_more_than_there_are_when_none_is_left_reads_no_number(
    client: Client, types: list[TicketType]
) -> None:
    Inventory.objects.filter(pk=types[0].pk).update(sold=2)
    page = post(client, types, email=ADA, **{f"amount_{types[0].pk}": "3"})

    name = types[0].name
    assert f"{name}: There are fewer tickets of this type left than you asked for." in page
    assert "Only 0" not in page
    assert not EmailCode.objects.exists()


def test_a_limit_that_was_lowered_since_is_said_before_the_turn_and_at_it(
    client: Client, types: list[TicketType]
) -> None:
    waiting = "When it is your turn, you get as many as one person may have."
    given = "You got as many as one person may have."
    entered = send(client, types, **{f"amount_{types[1].pk}": "3", f"second_amount_{types[0].pk}": "2"})
    assert waiting not in entered

    TicketType.objects.filter(pk=types[1].pk).update(max_per_user=2)
    assert waiting in fresh(client, types)

    open_sale(types)
    serve_all(types[1])
    assert Reservation.objects.get().quantity == 2
    assert given in fresh(client, types)

    TicketType.objects.filter(pk=types[0].pk).update(max_per_user=1)
    TicketType.objects.filter(pk=types[1].pk).update(max_per_user=10)
    assert given not in fresh(client, types), "the limit of another type does not count"


def fresh(client: Client, types: list[TicketType]) -> str:
    """Return the page of the line, made of what the database has now."""
    availability.refresh([types[0].event_id], now=timezone.now())
    return client.get(place(types)).content.decode()


def test_another_site_enters_nobody(client: Client, types: list[TicketType]) -> None:
    answer = Client(enforce_csrf_checks=True).post(
        place(types), {f"amount_{types[0].pk}": "1"}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert not Entry.objects.exists()


@pytest.mark.parametrize(
    ("phase", "panels"),
    [
        ("closed", ["closed"]),
        ("lobby", ["lobby serving", "lobby"]),
        ("serving", ["lobby serving", "serving"]),
        ("open", ["open", "serving"]),
        ("ended", ["ended"]),
    ],
)
def test_a_person_who_does_not_wait_sees_the_panel_of_the_phase(
    client: Client, types: list[TicketType], phase: str, panels: list[str]
) -> None:
    """The script shows the same panel when the phase changes. A lead within a hidden panel is not seen."""
    if phase == "closed":
        Line.objects.all().delete()
        Inventory.objects.update(opens_at=timezone.now() + timedelta(days=1))
        availability.refresh([types[0].event_id], now=timezone.now())
    elif phase == "ended":
        end_sale(types, why="ended")
    elif phase != "lobby":
        open_sale(types)
        serve_all(types[0])
        assert Line.objects.get().phase == "open"
        Line.objects.update(phase=phase)

    page = client.get(place(types)).content.decode()

    found = re.findall(r'data-when="([a-z ]+)"( hidden)?', page)
    assert [when for when, _ in found] == ["ended", "closed", "open", "lobby serving", "lobby", "serving"]
    assert [when for when, hidden in found if not hidden and when in panels] == panels
    outer = [when for when, hidden in found if not hidden and when not in ("lobby", "serving")]
    assert outer == panels[:1]
    assert ('data-part="enter" hidden' in page) == (phase in ("closed", "ended"))


def test_what_the_page_says_of_own_tickets_has_no_panels(client: Client, types: list[TicketType]) -> None:
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    assert "data-when" not in client.get(place(types)).content.decode()
    open_sale(types)
    serve_all(types[0])
    assert "data-when" not in client.get(place(types)).content.decode()


def test_people_who_join_after_the_list_was_closed_read_that_they_come_behind_it(
    client: Client, types: list[TicketType]
) -> None:
    Line.objects.update(public_name="The lottery")
    wish, late = {f"amount_{types[0].pk}": "1"}, Client()
    decides, gives_a_place = "A draw decides the order", "The draw gives each person in line one place."
    assert decides in late.get(place(types)).content.decode(), "control"
    assert gives_a_place in send(client, types, **wish)
    open_sale(types)
    services.draw(event_id=types[0].event_id)

    page = late.get(place(types)).content.decode()
    assert "People who join now come behind everybody on the list" in page
    assert decides not in page
    assert gives_a_place not in send(late, types, email="eve@example.org", **wish)
    assert gives_a_place in client.get(place(types)).content.decode(), "the first is in the draw"


def test_the_next_person_of_a_paused_line_reads_no_time(client: Client, types: list[TicketType]) -> None:
    soon = "Your turn comes in about a minute or less."
    send(client, types, **{f"amount_{types[0].pk}": "1"})
    open_sale(types)
    services.draw(event_id=types[0].event_id)
    assert soon in client.get(place(types)).content.decode(), "control"
    Line.objects.update(is_held=True)
    page = client.get(place(types)).content.decode()

    assert "You are next." in page
    assert "The organiser has paused the line." in page
    assert soon not in page


def test_the_event_page_leads_to_the_line(client: Client, types: list[TicketType]) -> None:
    assert place(types) in client.get(f"/events/{types[0].event_id}/").content.decode()


def test_an_event_without_a_line_shows_itself(client: Client, ticket_type: TicketType) -> None:
    answer = client.get(f"/events/{ticket_type.event_id}/line/")

    assert answer.headers["Location"] == f"/events/{ticket_type.event_id}/"
    assert client.get(f"/events/{Event.objects.latest('pk').pk + 1}/line/").status_code == 404


class TestAfterTheTurn:
    def given(self, client: Client, types: list[TicketType]) -> Entry:
        send(client, types, **{f"amount_{types[0].pk}": "1"})
        open_sale(types)
        serve_all(types[0])
        return Entry.objects.get(state="given")

    def test_a_person_who_was_passed_by_reads_it_when_nobody_waits_and_may_enter_again(
        self, client: Client, types: list[TicketType]
    ) -> None:
        entry = self.given(client, types)
        Entry.objects.filter(pk=entry.pk).update(look_by=timezone.now())
        serve_all(types[0])

        page = client.get(place(types)).content.decode()

        assert Line.objects.get().phase == "open"
        assert "Nobody is waiting in line" in page
        assert "because nobody opened the page within three minutes." in page
        assert "You can join the line again." in page
        assert 'data-part="enter" hidden' not in page

    def test_a_person_who_was_passed_by_for_their_own_tickets_reads_the_reason(
        self, client: Client, types: list[TicketType]
    ) -> None:
        send(client, types, **{f"amount_{types[0].pk}": "1"})
        hold_already(types[0], Entry.objects.get().buyer_id)
        open_sale(types)
        serve_all(types[0])

        page = client.get(place(types)).content.decode()

        assert Entry.objects.get().state == "passed"
        assert "or because you would have got more tickets than one person may have." in page
        assert "nobody opened the page" not in page

    def test_the_page_says_that_a_hold_has_ended(self, client: Client, types: list[TicketType]) -> None:
        self.given(client, types)
        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

        assert "Your reservation has ended" in client.get(place(types)).content.decode()

    def test_nobody_is_said_to_get_the_tickets_of_a_cancelled_event(
        self, client: Client, types: list[TicketType]
    ) -> None:
        self.given(client, types)
        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        end_sale(types, why="cancelled")
        page = client.get(place(types)).content.decode()

        assert "Ticket sales have ended" in page
        assert "The tickets go to" not in page

    @pytest.mark.parametrize(
        ("state", "said", "unsaid"),
        [
            ("held", "You were not charged.", "Pay for them before"),
            ("paying", "Go to your reserved tickets", "You were not charged."),
            ("validated", "Your event is cancelled", "You have your tickets"),
        ],
    )
    def test_nobody_is_asked_to_pay_for_a_cancelled_event(
        self, state: str, said: str, unsaid: str, client: Client, types: list[TicketType]
    ) -> None:
        self.given(client, types)
        times = {"held": [], "paying": ["paying_since"], "validated": ["paying_since", "validated_at"]}[state]
        Reservation.objects.update(state=state, **dict.fromkeys(times, timezone.now()))
        assert unsaid in client.get(place(types)).content.decode() or state == "paying", "control"
        end_sale(types, why="cancelled")
        page = client.get(place(types)).content.decode()

        assert said in page
        assert unsaid not in page
        assert "Leave the line" not in page

    def test_a_person_who_comes_after_the_sell_out_enters_by_the_page(
        self, client: Client, types: list[TicketType]
    ) -> None:
        open_sale(types)
        serve_all(types[0])
        Inventory.objects.filter(pk=types[0].pk).update(sold=2)

        assert "You are in line" in send(client, types, **{f"amount_{types[0].pk}": "1"})

    @pytest.mark.parametrize(
        ("why", "text"),
        [("ended", "The sale ended before you could get tickets."), ("cancelled", "is cancelled.")],
    )
    def test_a_person_who_still_waits_at_the_end_of_the_sale_reads_what_it_means(
        self, client: Client, types: list[TicketType], why: str, text: str
    ) -> None:
        send(client, types, **{f"amount_{types[0].pk}": "1"})
        end_sale(types, why=why)

        page = client.get(place(types)).content.decode()

        assert "Ticket sales have ended" in page
        assert text in page
        assert "You were not charged" in page
        assert "You are in line" not in page
        assert 'http-equiv="refresh"' not in page
        assert Entry.objects.get().state == "waiting", "staff may let the sale go on"

        assert "Leave the line" in page
        assert "Leave the line" not in post(client, types, leave="yes")
        assert Entry.objects.get().state == "left"

    @pytest.mark.parametrize("why", ["ended", "cancelled"])
    def test_nobody_enters_when_nothing_is_sold_any_more(
        self, client: Client, types: list[TicketType], why: str
    ) -> None:
        end_sale(types, why=why)

        answer = client.post(place(types), {f"amount_{types[0].pk}": "1"}, headers=SAME_SITE)

        assert answer.status_code == 409
        assert "Ticket sales have ended" in answer.content.decode()
        assert 'data-part="enter" hidden' in answer.content.decode()
        assert not Entry.objects.exists()
