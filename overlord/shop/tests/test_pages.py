"""The pages without JavaScript: their refusals, who sees what, and their number of queries."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import time_machine
from django.core import mail
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checkout import services as checkout
from overlord.accounts import services as accounts
from overlord.accounts.models import User
from overlord.kernel import money, redis_client
from overlord.shop import look
from overlord.shop.models import Look
from realtime import store
from tests.clients import permit
from tickets import availability_labels, event_page, event_selectors, services
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse"


@pytest.fixture
def page() -> Client:
    """Return the browser of a person who is not logged in."""
    return Client(headers={"accept": "text/html,*/*"})


@pytest.fixture
def mine(page: Client, buyer: User) -> Client:
    """Return the buyer's browser."""
    page.force_login(buyer)
    return page


def reserve(page: Client, ticket_type: TicketType, amount: Any = 1, key: str = "one") -> Any:
    return page.post(
        f"/events/{ticket_type.event_id}/", {"ticket_type": ticket_type.pk, "amount": amount, "key": key}
    )


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


class TestBuying:
    def test_reserve_pay_and_see_it(self, mine: Client, ticket_type: TicketType) -> None:
        assert "50 left" in text(mine.get(f"/events/{ticket_type.event_id}/"))
        place = reserve(mine, ticket_type, 2)["Location"]
        shown = text(mine.get(place))
        assert ticket_type.name in shown
        assert "€30.00" in shown
        assert mine.post(f"{place}pay/", {"token": "ok"})["Location"] == place
        assert "Processing your payment" in text(mine.get(place))
        checkout.payment_process(payment_id=Reservation.objects.get().payments.get().pk)
        assert 'data-stage="paid"' in mine.get(place).content.decode()
        assert "Paid" in text(mine.get("/me/"))

    def test_an_order_may_cost_more_than_the_largest_price(
        self, mine: Client, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        place = reserve(mine, ticket_type_make(price_minor=money.LARGEST_MINOR), 2)["Location"]
        assert "€20,000,000,000.00" in text(mine.get(place))
        assert "€20,000,000,000.00" in text(mine.get("/me/"))

    def test_pressed_twice_it_is_one_reservation(self, mine: Client, ticket_type: TicketType) -> None:
        assert reserve(mine, ticket_type)["Location"] == reserve(mine, ticket_type)["Location"]
        assert Reservation.objects.count() == 1

    def test_a_hold_is_extended_and_released_by_forms(self, mine: Client, ticket_type: TicketType) -> None:
        place = reserve(mine, ticket_type)["Location"]
        Reservation.objects.update(expires_at=timezone.now() + timedelta(seconds=40))
        mine.post(f"{place}extend/")
        assert Reservation.objects.get().expires_at > timezone.now() + timedelta(minutes=4)
        mine.post(f"{place}release/")
        assert Reservation.objects.get().state == "released"
        assert "was released" in text(mine.post(f"{place}extend/", follow=True))
        assert "back on sale" in text(mine.post(f"{place}release/", follow=True))

    def test_a_declined_card_keeps_the_tickets(self, mine: Client, ticket_type: TicketType) -> None:
        place = reserve(mine, ticket_type)["Location"]
        mine.post(f"{place}pay/", {"token": "card_error"})
        checkout.payment_process(payment_id=Reservation.objects.get().payments.get().pk)
        shown = mine.get(place)
        assert 'data-stage="failed"' in shown.content.decode()
        assert "declined" in text(shown)

    def test_a_page_names_the_reason_why_it_cannot_be_paid(
        self, mine: Client, ticket_type: TicketType
    ) -> None:
        place = reserve(mine, ticket_type)["Location"]
        assert mine.post(f"{place}pay/", {}).status_code == 400
        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        late = mine.post(f"{place}pay/", {"token": "ok"})
        assert late.status_code == 410
        assert "Your reservation has expired" in text(late)
        assert 'data-stage="expired"' in late.content.decode()


class TestRefusals:
    @pytest.mark.parametrize(
        ("stock", "amount", "said"),
        [
            ({"capacity": 3}, 4, "Only 3 tickets are left."),
            ({"capacity": 3, "sold": 3}, 1, "These tickets are sold out."),
            ({"max_per_user": 2}, 3, "The limit is 2 tickets of this type per person."),
            ({"paused": True}, 1, "Ticket sales are paused."),
            ({"opens_at": timezone.now() + timedelta(days=1)}, 1, "Ticket sales have not opened yet."),
            ({"closes_at": timezone.now() - timedelta(days=1)}, 1, "Ticket sales have ended."),
            ({}, 0, "number of tickets is not valid"),
            ({}, "many", "number of tickets is not valid"),
        ],
    )
    def test_a_refusal_says_what_can_be_done_and_keeps_the_choice(
        self,
        mine: Client,
        ticket_type_make: Callable[..., TicketType],
        stock: dict[str, Any],
        amount: Any,
        said: str,
    ) -> None:
        answer = reserve(mine, ticket_type_make(**stock), amount)
        assert answer.status_code in (400, 409)
        assert said in text(answer)
        assert "is-chosen" in answer.content.decode()
        if isinstance(amount, int) and amount > 0:
            assert f'value="{amount}" required' in answer.content.decode()

    def test_a_refusal_links_to_the_buyers_own_hold(self, mine: Client, ticket_type: TicketType) -> None:
        place = reserve(mine, ticket_type, key="one")["Location"]
        again = reserve(mine, ticket_type, key="two")
        assert again.status_code == 409
        assert f'href="{place}"' in again.content.decode()

    def test_all_on_hold_says_when_some_may_become_available(
        self, mine: Client, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
    ) -> None:
        ticket_type = ticket_type_make(capacity=1)
        services.reservation_create(
            buyer_id=user_make().pk,
            ticket_type=ticket_type.pk,
            quantity=1,
            key=None,
            hold=timedelta(minutes=5),
            now=timezone.now(),
        )
        assert "Some may become available at" in text(mine.get(f"/events/{ticket_type.event_id}/"))
        assert "Some may become available at" in text(reserve(mine, ticket_type))

    def test_a_busy_database_is_a_page_too(self, page: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object, **__: object) -> None:
            raise OperationalError("gone")

        monkeypatch.setattr("tickets.event_selectors.events_next", away)
        answer = page.get("/")
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert "very busy" in text(answer)

    def test_an_unknown_page_is_not_found(self, page: Client, mine: Client) -> None:
        for path in ("/nothing/", "/events/1/", "/checkout/1/", f"/events/{2**63}/"):
            answer = mine.get(path)
            assert (answer.status_code, answer["Content-Type"][:9]) == (404, "text/html")
        assert Client().get("/nothing/", headers={"accept": "application/json"}).json()["code"] == "not_found"

    def test_a_form_without_its_token_is_refused(self, ticket_type: TicketType) -> None:
        strict = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
        answer = reserve(strict, ticket_type)
        assert answer.status_code == 403
        assert "This page has expired." in text(answer)


class TestWhoSeesWhat:
    @pytest.mark.parametrize("path", ["/login/", "/signup/"])
    @pytest.mark.parametrize("evil", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
    def test_next_never_leads_to_another_site(self, page: Client, buyer: User, path: str, evil: str) -> None:
        form = {
            "/login/": {"username": buyer.username, "password": PASSWORD},
            "/signup/": {
                "email": "new@example.org",
                "password": "a long pass phrase",
            },
        }[path]
        assert page.post(path, {**form, "next": evil})["Location"] == "/"

    @pytest.mark.parametrize("path", ["/login/", "/signup/"])
    @pytest.mark.parametrize(
        "nowhere",
        [
            "/logout/",
            "/logout",
            "/login/",
            "/login/?next=/logout/",
            "/signup/?x=1",
            "/admin/logout/",
            "/admin/login/?next=/admin/",
            "/api-auth/logout/",
            "/api-auth/login",
            "/nothing/",
            "/logout/?next=/me/",
            "/%6cogout/",
            f"/events/{2**63}/",
        ],
    )
    def test_next_leads_to_a_page_that_get_shows(
        self, page: Client, buyer: User, path: str, nowhere: str
    ) -> None:
        form = {"/login/": {"username": buyer.username, "password": PASSWORD}}.get(
            path, {"username": "newcomer", "email": "new@example.org", "password": "a long pass phrase"}
        )
        assert page.post(path, {**form, "next": nowhere})["Location"] == "/"
        if path == "/login/":
            assert page.get(path, {"next": nowhere})["Location"] == "/"  # logged in already
            assert page.post("/logout/", {"next": nowhere})["Location"] == "/"

    @pytest.mark.parametrize(
        "somewhere", ["/me/", "/me", "/events/7/?ticket_type=1", "/event/reservations/", "/admin/"]
    )
    def test_next_leads_to_the_page_that_it_names(self, page: Client, buyer: User, somewhere: str) -> None:
        form = {"username": buyer.username, "password": PASSWORD}
        assert page.post("/login/", {**form, "next": somewhere})["Location"] == somewhere

    @pytest.mark.parametrize("path", ["/logout/", "/admin/logout/"])
    def test_a_refused_method_is_answered_with_a_page(
        self, mine: Client, path: str, user_make: Callable[..., User]
    ) -> None:
        mine.force_login(user_make(is_staff=True))
        answer = mine.get(path)
        assert (answer.status_code, "POST" in answer["Allow"]) == (405, True)
        assert "does not accept this kind of request" in text(answer)
        as_program = Client()
        as_program.force_login(user_make(is_staff=True))
        problem = as_program.get(path, headers={"accept": "application/json"})
        assert (problem.status_code, problem.json()["code"]) == (405, "method_not_allowed")

    def test_another_persons_reservation_is_not_found(
        self, mine: Client, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        place = reserve(mine, ticket_type)["Location"]
        other = Client(headers={"accept": "text/html"})
        other.force_login(user_make())
        assert other.get(place).status_code == 404
        for action in ("pay/", "extend/", "release/"):
            assert other.post(place + action, {"token": "ok"}).status_code == 404
        assert Reservation.objects.get().state == "held"

    def test_the_monitor_is_for_staff(
        self, page: Client, mine: Client, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        sale = f"/events/{ticket_type.event_id}/sale/"
        assert Client().get("/monitor/")["Location"] == "/login/?next=/monitor/"
        assert mine.get("/monitor/").status_code == mine.post(sale, {"paused": "yes"}).status_code == 403
        mine.force_login(permit(user_make(), "stats.view_monitor", "tickets.pause_sale"))
        assert mine.get("/monitor/").status_code == 200
        assert mine.post(sale, {"paused": "yes"})["Location"] == "/monitor/"
        assert Inventory.objects.get().paused
        assert "Resume ticket sales?" in text(mine.get(sale))
        assert 'href="/monitor/">Cancel' in mine.get(sale).content.decode()
        mine.post(sale, {"paused": "no"})
        assert not Inventory.objects.get().paused

    def test_pausing_leads_back_to_the_page_with_the_button(
        self, mine: Client, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        sale = f"/events/{ticket_type.event_id}/sale/"
        mine.force_login(permit(user_make(), "tickets.pause_sale"))
        office = f"/office/events/{ticket_type.event_id}/"
        asks = mine.get(sale, {"next": office}).content.decode()
        assert f'href="{office}">Cancel' in asks
        assert f'name="next" value="{office}"' in asks
        assert mine.post(sale, {"paused": "yes", "next": office})["Location"] == office
        for foreign in ("https://example.org/", "//example.org/", "/nothing/"):
            assert 'href="/monitor/">Cancel' in mine.get(sale, {"next": foreign}).content.decode()


class TestAccounts:
    def test_signing_up_makes_an_account_and_logs_in(self, page: Client) -> None:
        form = {"email": "ada@example.org", "password": "12345"}
        refused = page.post("/signup/", form)
        assert "too short" in text(refused)
        assert 'aria-describedby="id_password_helptext id_password_error"' in refused.content.decode()
        assert page.post("/signup/", {**form, "password": "a long pass phrase"})["Location"] == "/"
        assert "Log out" in text(page.get("/"))
        assert page.post("/logout/")["Location"] == "/"
        assert "Log in" in text(page.get("/"))

    @pytest.mark.parametrize("path", ["/login/", "/signup/"])
    def test_a_person_who_is_logged_in_is_led_on(self, path: str, mine: Client, buyer: User) -> None:
        assert mine.get(path, {"next": "/me/"})["Location"] == "/me/"
        form = {"email": "second@example.org", "password": "a long pass phrase"}
        assert mine.post(path, form)["Location"] == "/"
        assert User.objects.get() == buyer

    def test_a_new_password_for_a_lost_one(self, page: Client, buyer: User) -> None:
        for address in (buyer.email.upper(), "nobody@example.org"):
            assert page.post("/password-reset/", {"email": address})["Location"] == "/password-reset/sent/"
        accounts.password_reset_send(user_id=buyer.pk, base_url="http://localhost:8080")
        [letter] = mail.outbox
        link = re.search(r"http://localhost:8080(\S+)", letter.body)
        assert link
        form = page.get(link[1], follow=True)
        fresh = "another long pass phrase"
        page.post(form.redirect_chain[-1][0], {"new_password1": fresh, "new_password2": fresh})
        buyer.refresh_from_db()
        assert buyer.check_password(fresh)
        assert "no longer works" in text(page.get(link[1], follow=True))


class TestCost:
    """The number of queries does not grow with what is shown."""

    @pytest.mark.parametrize(
        ("path", "most"),
        [("/", 6), ("/events/{event}/", 8), ("/me/", 5), ("/checkout/{hold}/", 5), ("/monitor/", 23)],
    )
    def test_queries_are_constant(
        self,
        page: Client,
        user_make: Callable[..., User],
        ticket_type_make: Callable[..., TicketType],
        path: str,
        most: int,
    ) -> None:
        user = permit(user_make(), "stats.view_monitor") if path == "/monitor/" else user_make()
        page.force_login(user)
        ticket_type = ticket_type_make()
        hold = self.hold(user, ticket_type)
        place = path.format(event=ticket_type.event_id, hold=hold)

        def count() -> int:
            redis_client.connection().flushall()
            cache.clear()
            look.remember(Look(), seconds=60)  # one page reads it once a second, for all
            with CaptureQueriesContext(connection) as context:
                assert page.get(place).status_code == 200
            look.forget()
            return len(context)

        before = count()
        event = Event.objects.get(pk=ticket_type.event_id)
        for _ in range(6):
            self.hold(user, ticket_type_make(event=event))
            self.hold(user, ticket_type_make())
        assert count() == before <= most

    @staticmethod
    def hold(user: User, ticket_type: TicketType) -> int:
        made = services.reservation_create(
            buyer_id=user.pk,
            ticket_type=ticket_type.pk,
            quantity=1,
            key=None,
            hold=timedelta(minutes=5),
            now=timezone.now(),
        )
        return int(made.reservation["id"])


class TestWrittenOnce:
    """The common part of an event's page is written once a second; the parts of one buyer are not cached."""

    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the ticket types that were written, in order, with repetitions."""
        said: list[str] = []
        make = event_page._type_row

        def row(ticket: dict[str, Any], zone: str, **chosen: Any) -> dict[str, Any]:
            said.append(ticket["ticket_type"])
            return make(ticket, zone, **chosen)

        monkeypatch.setattr(event_page, "_type_row", row)
        return said

    def test_buyers_share_the_common_part_and_have_their_own_forms(
        self, user_make: Callable[..., User], ticket_type: TicketType, written: list[str]
    ) -> None:
        pages = []
        with time_machine.travel(timezone.now(), tick=False):
            for _ in range(2):
                browser = Client()
                browser.force_login(user_make())
                pages.append(browser.get(f"/events/{ticket_type.event_id}/").content.decode())
        assert len(written) == 1
        for name in ("csrfmiddlewaretoken", "key"):
            values = [re.search(f'name="{name}"[^>]* value="([^"]+)"', page) for page in pages]
            assert len({value and value[1] for value in values}) == 2

    def test_a_buyers_tickets_a_choice_and_parts_for_staff_are_not_cached(
        self, mine: Client, user_make: Callable[..., User], ticket_type: TicketType, written: list[str]
    ) -> None:
        place = f"/events/{ticket_type.event_id}/"
        staff = Client()
        staff.force_login(permit(user_make(), "tickets.manage_events"))
        for browser, query in ((staff, ""), (staff, ""), (mine, "?amount=2&ticket_type=1"), (mine, "")):
            browser.get(f"{place}{query}")
        assert len(written) == 4
        reserve(mine, ticket_type, 2)
        assert "You have 2 reserved tickets" in text(mine.get(place))
        other = Client()
        other.force_login(user_make())
        assert "reserved tickets" not in text(other.get(place))


class TestSearch:
    def test_events_are_found_by_name_description_and_month(self, page: Client) -> None:
        soon = timezone.now() + timedelta(days=3)
        later = soon + timedelta(days=67)
        for name, date, description in (
            ("Blue Hour", soon, "Jazz from Naples"),
            ("Blue Moon", later, ""),
            ("Carmen", soon, "An opera in four acts"),
        ):
            Event.objects.create(name=name, date=date, description=description)
        assert self.found(page, q="blue") == ["Blue Hour", "Blue Moon"]
        assert self.found(page, month=f"{later:%Y-%m}") == ["Blue Moon"]
        assert self.found(page, q="OPERA") == ["Carmen"]
        assert self.found(page, q="naples hour") == ["Blue Hour"]  # the words may be in different fields
        assert self.found(page, q="apl") == ["Blue Hour"]
        assert self.found(page, q="naples moon") == []

    def test_an_event_that_has_begun_is_found_as_long_as_it_sells(
        self, page: Client, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        began = timezone.now() - timedelta(days=40)
        festival, concert = (ticket_type_make(closes_at=timezone.now() + timedelta(days=n)) for n in (2, -2))
        Event.objects.update(date=began)
        name = festival.event.name
        month = f"{began:%Y-%m}"
        for wish in ({}, {"q": name}, {"month": month}, {"q": name, "month": month}):
            assert self.found(page, **wish) == [name]
        shown = page.get("/").content.decode()
        assert f'<option value="{month}">' in shown
        assert "50 left" in shown
        assert f"/events/{festival.event_id}/" in page.get("/sitemap.xml").content.decode()
        assert f"/events/{concert.event_id}/" not in page.get("/sitemap.xml").content.decode()

    def test_the_search_uses_an_index(self) -> None:
        with connection.cursor() as cursor:
            # Many rows are inserted, which may take long on a busy machine.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute(
                "INSERT INTO tickets_event (name, date, time_zone, currency, description, version)"
                " SELECT md5(n::text), now() + n * interval '1 minute', 'UTC', 'EUR',"
                " repeat(md5((-n)::text), 30), 1 FROM generate_series(1, 20000) n"
            )
            cursor.execute("ANALYZE tickets_event")
        with CaptureQueriesContext(connection) as context:
            listed = event_selectors.events_for_buyers(now=timezone.now())
            event_selectors.events_next(listed, most=100, search="c4ca4238")
        [search] = [each["sql"] for each in context if "UPPER" in each["sql"]]
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {search}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
        assert "event_name_search" in plan
        assert "event_description_search" in plan

    def test_a_month_is_that_of_the_events_own_time_zone(self, page: Client) -> None:
        new_year = datetime(timezone.now().year + 2, 1, 1, tzinfo=UTC)
        Event.objects.create(name="Hogmanay", date=new_year, time_zone="America/New_York")
        december, january = f"{new_year.year - 1}-12", f"{new_year.year}-01"
        assert self.found(page, month=december) == ["Hogmanay"]
        assert self.found(page, month=january) == []
        shown = page.get("/").content.decode()
        assert f'<option value="{december}">' in shown
        assert f'<option value="{january}">' not in shown
        assert "New York time" in shown

    @pytest.mark.parametrize(
        "odd",
        [
            {"q": "\0"},
            {"month": "x"},
            {"month": "9999-12"},
            {"month": "2027-13"},
            {"month": "0001-01"},
            {"q": "%_"},
        ],
    )
    def test_odd_searches_are_no_error(self, page: Client, odd: dict[str, str]) -> None:
        assert page.get("/", odd).status_code == 200

    @staticmethod
    def found(page: Client, **wish: str) -> list[str]:
        return re.findall(
            r'<h3><a href="[^"]+" data-field="name">([^<]+)</a>', page.get("/", wish).content.decode()
        )


class TestSafety:
    def test_no_page_has_an_inline_script_or_style(self, mine: Client, ticket_type: TicketType) -> None:
        policy = mine.get("/")["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        place = reserve(mine, ticket_type)["Location"]
        for path in ("/", f"/events/{ticket_type.event_id}/", place, "/me/", "/login/"):
            source = mine.get(path).content.decode()
            # The last one is data and not a script.
            known = r'src=|type="importmap"|type="application/ld\+json"'
            assert re.findall(rf"<script(?![^>]*({known}))", source) == []
            assert re.findall(r"<style|\sstyle=|\son\w+=", source) == []

    def test_only_pages_carry_the_policy_of_pages(self, page: Client) -> None:
        assert "script-src" in page.get("/nothing/")["Content-Security-Policy"]
        shown = page.get("/event/events/", headers={"accept": "application/json"})
        assert "script-src" not in shown["Content-Security-Policy"]

    def test_input_is_shown_as_text(self, page: Client) -> None:
        event = Event.objects.create(
            name="<script>alert(1)</script>", date=timezone.now() + timedelta(days=1), description="<b>x</b>"
        )
        for path in ("/", f"/events/{event.pk}/", '/?q="><script>'):
            assert "<script>alert" not in page.get(path).content.decode()
            assert "<b>" not in page.get(path).content.decode()


@pytest.fixture
def without_redis(settings: Any) -> Iterator[None]:
    """Take Redis away: nothing listens at its address."""
    address = settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1"
    redis_client.connection.cache_clear()
    yield
    settings.REDIS_URL = address
    redis_client.connection.cache_clear()
    store.breaker.succeeded()


@pytest.mark.usefixtures("without_redis")
def test_without_redis_the_shop_sells_by_forms_and_pages_tell_their_age(
    mine: Client, ticket_type: TicketType
) -> None:
    before = mine.get(f"/events/{ticket_type.event_id}/")
    assert re.search(r"As of .* UTC\. Reload the page to update it\.", text(before))
    place = reserve(mine, ticket_type, 2)["Location"]
    assert "48 left" in text(mine.get(f"/events/{ticket_type.event_id}/"))
    assert mine.post(f"{place}pay/", {"token": "ok"})["Location"] == place
    assert mine.get("/me/").status_code == 200
    assert Inventory.objects.get().held == 2


@pytest.mark.parametrize(
    ("ticket", "tone"),
    [
        ({"available": 100}, "open"),
        ({"available": 10}, "few"),
        ({"available": 40, "amount": 1000}, "few"),
        ({"available": 0, "held": 1}, "held"),
        ({"available": 0}, "sold-out"),
        ({"sale": "paused"}, "paused"),
        ({"sale": "ended"}, "ended"),
        ({"sale": "upcoming"}, "upcoming"),
    ],
)
def test_each_state_of_a_ticket_type_has_its_label(ticket: dict[str, Any], tone: str) -> None:
    usual = {
        "sale": "open",
        "available": 5,
        "held": 0,
        "amount": 100,
        "opens_at": None,
        "next_release_at": None,
    }
    assert availability_labels.of_ticket_type({**usual, **ticket}, "UTC").tone == tone


@pytest.mark.parametrize(
    ("regular", "label"),
    [({}, "50 left"), ({"held": 10, "sold": 35}, "Only 5 left"), ({"sold": 50}, "Sold out")],
)
def test_the_list_counts_only_types_on_sale_now(
    page: Client, ticket_type_make: Callable[..., TicketType], regular: dict[str, int], label: str
) -> None:
    """Use a type whose sale has ended with tickets left, one of them on hold, and a type that opens later."""
    event = ticket_type_make(price_minor=2000).event
    Inventory.objects.update(**regular)
    now = timezone.now()
    early = ticket_type_make(event=event, price_minor=1000, closes_at=now - timedelta(days=1))
    Inventory.objects.filter(pk=early.pk).update(held=1)
    ticket_type_make(event=event, price_minor=3000, opens_at=now + timedelta(days=1))
    shown = text(page.get("/"))
    assert f"From €20.00 {label}" in shown
    Inventory.objects.update(closes_at=now - timedelta(hours=1), opens_at=None)
    cache.clear()
    assert "From €10.00 Sales ended" in text(page.get("/"))


@pytest.mark.parametrize(
    ("language", "price", "time"), [("en-US,en", "€15.00", "7:30\u202fPM"), ("en-GB", "€15.00", "19:30")]
)
def test_money_and_times_are_written_by_locale(
    page: Client, ticket_type: TicketType, language: str, price: str, time: str
) -> None:
    Event.objects.update(date=timezone.now().replace(hour=19, minute=30) + timedelta(days=20))
    shown = page.get("/", headers={"accept-language": language}).content.decode()
    assert price in shown
    assert time in shown


class TestActionsOfACheckout:
    @pytest.mark.parametrize("action", ["pay", "extend"])
    def test_a_get_leads_to_the_checkout(self, mine: Client, ticket_type: TicketType, action: str) -> None:
        place = reserve(mine, ticket_type)["Location"]
        assert mine.get(f"{place}{action}/")["Location"] == place

    @pytest.mark.parametrize(
        ("page", "is_kept"),
        [
            ("/office/", False),
            ("/monitor/", False),
            ("/me/", False),
            ("/events/1/line/", False),
            ("/events/1/?amount_7=2", True),
            ("/checkout/1/", True),
            ("/checkout/1/?card=slow", True),
        ],
    )
    def test_the_log_in_says_that_a_selection_is_kept_only_where_there_is_one(
        self, page: str, is_kept: bool
    ) -> None:
        shown = Client().get(f"/login/?{urlencode({'next': page})}").content.decode()
        assert "Log in to continue." in shown
        assert ("Your selection is kept." in shown) is is_kept

    def test_a_choice_comes_back_after_a_lost_session(
        self, mine: Client, buyer: User, ticket_type: TicketType
    ) -> None:
        place = reserve(mine, ticket_type)["Location"]
        mine.logout()
        log_in = mine.post(f"{place}pay/", {"token": "slow"})["Location"]
        form = {"username": buyer.username, "password": PASSWORD, "next": mine.get(log_in).context["next"]}
        back = mine.post(log_in, form)["Location"]
        shown = mine.get(back)
        assert shown.status_code == 200
        assert 'value="slow" selected' in shown.content.decode()

    def test_releasing_asks_first(self, mine: Client, ticket_type: TicketType) -> None:
        place = reserve(mine, ticket_type)["Location"]
        asked = text(mine.get(f"{place}release/"))
        assert "Release your tickets?" in asked
        assert f"1 × {ticket_type.name}" in asked
        assert mine.get("/checkout/999999/release/").status_code == 404
        assert Reservation.objects.get().state == "held"
        mine.post(f"{place}release/")
        assert Reservation.objects.get().state == "released"


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/office/", "Box office"),
        ("/office/look/", "Box office"),
        ("/office/journal/", "Box office"),
        ("/office/people/", "People"),
        ("/office/personal-data/", "People"),
        ("/office/orders/", "Orders"),
    ],
)
def test_the_menu_shows_staff_where_they_are(path: str, entry: str, mine: Client, buyer: User) -> None:
    User.objects.filter(pk=buyer.pk).update(is_staff=True, is_superuser=True)
    menu = mine.get(path).content.decode()
    assert re.findall(r'aria-current="\w+">([^<]+)</a>', menu) == [entry]
