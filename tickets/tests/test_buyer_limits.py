"""The limits of one buyer's holds, who may buy, and how often one buyer and one address may reserve."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db, rate_limits
from tests.clients import api_of
from tests.threads import together
from tickets import limits
from tickets.models import Event, Reservation, TicketType
from tickets.tests.reserving import reserve, waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = "/event/reservations/batch/"


@pytest.fixture(autouse=True)
def low_limits(limits_on: None, settings: Any) -> None:
    settings.HOLDS_PER_BUYER = 3
    settings.COOLING_EXPIRED, settings.COOLING_SECONDS = 2, 600


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    first = ticket_type_make()
    return [first, *[ticket_type_make(event=first.event) for _ in range(7)]]


def guest(address: str = "203.0.113.7") -> APIClient:
    api = APIClient(headers={"X-Forwarded-For": address})
    token = api.post("/register/guest/").json()["token"]
    return APIClient(headers={"Authorization": f"Token {token}", "X-Forwarded-For": address})


def code(answer: Any) -> Any:
    return answer.status_code if answer.status_code < 300 else (answer.status_code, answer.json()["code"])


def order(api: APIClient, types: list[TicketType], **more: Any) -> Any:
    items = [{"ticket_type": each.pk, "amount": 1} for each in types]
    return api.post(BATCH, {"items": items, **more}, format="json")


class TestHolds:
    def test_a_buyer_has_only_so_many_orders_on_hold(self, api: APIClient, types: list[TicketType]) -> None:
        made = [reserve(api, each) for each in types[:3]]
        refused = reserve(api, types[3])
        assert (code(refused), refused.json()["most"]) == ((409, "too_many_held"), 3)
        assert code(order(api, types[3:5])) == (409, "too_many_held")
        api.delete(f"/event/reservations/{made[0].json()['id']}/")
        assert code(reserve(api, types[3])) == 201

    def test_an_order_of_several_types_is_one_and_may_grow(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        made = order(api, types[:3])
        assert [code(reserve(api, each)) for each in types[3:6]] == [201, 201, (409, "too_many_held")]
        assert code(order(api, types[6:7], order=made.json()["order"])) == 201

    def test_a_hold_that_is_over_does_not_count(self, api: APIClient, types: list[TicketType]) -> None:
        for each in types[:3]:
            reserve(api, each)
        Reservation.objects.filter(ticket_type=types[0]).update(expires_at=timezone.now())
        assert code(reserve(api, types[3])) == 201

    def test_many_claims_at_once_get_no_more(self, api: APIClient, types: list[TicketType]) -> None:
        answers = together(*[lambda each=each: code(reserve(api, each)) for each in types])
        assert answers.count(201) == 3

    def test_control_without_the_buyers_lock_they_get_more(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_get_functiondef('buyer_check'::regproc)")
            [defined] = cursor.fetchone()
            lock = "PERFORM pg_advisory_xact_lock(hashtextextended('tickets.buyer', p_buyer));"
            assert lock in defined
            counted = "IF p_expired IS NOT NULL THEN"
            gate = f"PERFORM pg_advisory_xact_lock_shared(1); {counted}"
            cursor.execute(defined.replace(lock, "").replace(counted, gate, 1))
        shut = threading.Event()

        def open_when_all_have_counted() -> None:
            with db.transaction():
                db.rows("SELECT pg_advisory_xact_lock(1)")
                shut.set()
                waiting_for_a_lock(len(types))

        def ask(each: TicketType) -> Any:
            assert shut.wait(60)
            return code(reserve(api, each))

        try:
            gatekeeper, *answers = together(
                open_when_all_have_counted, *[lambda each=each: ask(each) for each in types]
            )
            assert gatekeeper is None
            assert answers.count(201) > 3
        finally:
            with connection.cursor() as cursor:
                cursor.execute(defined)

    def test_a_repeat_answers_as_before(self, api: APIClient, types: list[TicketType]) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": "one"}
        first = api.post(
            "/event/reservations/", {"ticket_type": types[0].pk, "amount": 1}, format="json", **key
        )
        for each in types[1:3]:
            reserve(api, each)
        again = api.post(
            "/event/reservations/", {"ticket_type": types[0].pk, "amount": 1}, format="json", **key
        )
        assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])

    def test_with_limits_off_nothing_is_counted(
        self, api: APIClient, types: list[TicketType], settings: Any
    ) -> None:
        settings.RATE_LIMITS = False
        assert {code(reserve(api, each)) for each in types} == {201}


class TestCoolingDown:
    def expire(self, api: APIClient, types: list[TicketType], *, ago: timedelta = timedelta()) -> None:
        order(api, types)
        Reservation.objects.filter(ticket_type__in=types).update(
            state="expired", ended_at=timezone.now() - ago
        )

    def test_a_buyer_cools_down_after_repeated_expiries(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        self.expire(api, types[:3])
        assert code(reserve(api, types[3])) == 201, "an order of several types has expired once"
        self.expire(api, types[4:5])
        for refused in (reserve(api, types[5]), order(api, types[5:7])):
            assert code(refused) == (429, "cooling_down")
            assert 590 < int(refused["Retry-After"]) <= 600

    def test_cooling_down_ends(self, api: APIClient, types: list[TicketType]) -> None:
        self.expire(api, types[:1], ago=timedelta(seconds=590))
        self.expire(api, types[1:2])
        refused = reserve(api, types[2])
        assert code(refused) == (429, "cooling_down")
        assert 0 < int(refused["Retry-After"]) <= 10
        Reservation.objects.filter(ticket_type=types[0]).update(
            ended_at=timezone.now() - timedelta(seconds=601)
        )
        assert code(reserve(api, types[2])) == 201

    def test_released_and_paid_orders_do_not_count(self, api: APIClient, types: list[TicketType]) -> None:
        for each in types[:3]:
            held = reserve(api, each).json()["id"]
            api.delete(f"/event/reservations/{held}/")
        assert code(reserve(api, types[3])) == 201

    def test_the_page_says_so_and_keeps_the_choice(
        self, buyer: User, api: APIClient, types: list[TicketType]
    ) -> None:
        self.expire(api, types[:1])
        self.expire(api, types[1:2])
        page = Client(headers={"accept": "text/html"})
        page.force_login(buyer)
        answer = page.post(
            f"/events/{types[2].event_id}/", {"ticket_type": types[2].pk, "amount": 2, "key": "k"}
        )
        assert answer.status_code == 429
        assert "Several of your reservations have expired." in answer.content.decode()
        assert 'value="2" required' in answer.content.decode()


class TestWhoMayBuy:
    def test_an_event_for_accounts_refuses_guests(self, api: APIClient, types: list[TicketType]) -> None:
        Event.objects.update(buyers="accounts")
        somebody = guest()
        assert code(reserve(somebody, types[0])) == (403, "account_required")
        assert code(order(somebody, types[:2])) == (403, "account_required")
        assert code(reserve(api, types[0])) == 201
        claim = {"username": "ada", "email": "ada@example.org", "password": "correct horse"}
        assert somebody.post("/register/claim/", claim, format="json").status_code == 200
        assert code(reserve(somebody, types[0])) == 201

    def test_an_event_for_accounts_refuses_guests_with_limits_off_too(
        self, types: list[TicketType], settings: Any
    ) -> None:
        settings.RATE_LIMITS = False
        Event.objects.update(buyers="accounts")
        assert code(reserve(guest(), types[0])) == (403, "account_required")

    def test_the_api_tells_who_may_buy(self, types: list[TicketType]) -> None:
        path = f"/event/events/{types[0].event_id}/"
        assert Client().get(path).json()["buyers"] == "anyone"

    def test_pages_lead_to_the_sign_up_with_the_choice_kept(self, types: list[TicketType]) -> None:
        Event.objects.update(buyers="accounts")
        page = Client(headers={"accept": "text/html", "sec-fetch-site": "same-origin"})
        answer = page.post(f"/events/{types[0].event_id}/", {"ticket_type": types[0].pk, "amount": 3})
        assert answer["Location"].startswith("/signup/?next=")
        assert not User.objects.exists()
        form = {"email": "ada@example.org", "password": "correct horse"}
        back = page.post(answer["Location"], {**form, "next": page.get(answer["Location"]).context["next"]})
        assert 'value="3" required' in page.get(back["Location"]).content.decode()


class TestHowOften:
    def test_one_buyer_may_reserve_only_so_often(self, api: APIClient, ticket_type: TicketType) -> None:
        statuses = [reserve(api, ticket_type).status_code for _ in range(limits.RESERVE_BY_BUYER.amount + 1)]
        assert statuses[:2] == [201, 409]
        assert statuses[-1] == 429

    def test_one_address_may_reserve_only_so_often(
        self, user_make: Callable[..., User], ticket_type: TicketType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few = rate_limits.Limit(name="few-reserve", amount=2, seconds=60)
        monkeypatch.setattr(limits, "RESERVE_BY_ADDRESS", few)
        answers = [code(reserve(api_of(user_make()), ticket_type)) for _ in range(3)]
        assert answers == [201, 201, (429, "rate_limited")]

    def test_changes_and_extensions_of_a_hold_count_together_with_reserving(
        self, buyer: User, api: APIClient, ticket_type: TicketType
    ) -> None:
        held = reserve(api, ticket_type).json()["id"]
        path, place = f"/event/reservations/{held}/", f"/checkout/{held}/"
        page = Client(headers={"accept": "text/html"})
        page.force_login(buyer)

        def change(amount: int) -> Any:
            return api.patch(path, {"amount": amount}, format="json")

        assert code(api.post(f"{path}extend/")) == 200
        assert page.post(f"{place}extend/").status_code == 302
        assert page.post(f"{place}amount/", {"amount": 2}).status_code == 302
        left = limits.RESERVE_BY_BUYER.amount - 4
        assert {code(change(1 + number % 2)) for number in range(left)} == {200}

        for refused in (change(3), api.post(f"{path}extend/"), reserve(api, ticket_type)):
            assert code(refused) == (429, "rate_limited")
            assert 0 < int(refused["Retry-After"]) <= 60
        for refused in (page.post(f"{place}amount/", {"amount": 3}), page.post(f"{place}extend/")):
            assert (refused.status_code, bool(refused["Retry-After"])) == (429, True)
            assert "Too many attempts" in refused.content.decode()
        assert Reservation.objects.get().quantity == 2

    def test_a_guest_changes_a_hold_though_the_address_may_hold_no_more(
        self, ticket_type: TicketType, settings: Any
    ) -> None:
        settings.GUEST_HOLDS_PER_ADDRESS = 1
        somebody = guest()
        held = reserve(somebody, ticket_type).json()["id"]
        changed = somebody.patch(f"/event/reservations/{held}/", {"amount": 2}, format="json")
        assert (code(changed), changed.json()["amount"]) == (200, 2)

    def test_guests_of_one_address_hold_so_much_and_accounts_beside_them_more(
        self, api: APIClient, ticket_type: TicketType, settings: Any
    ) -> None:
        settings.GUEST_HOLDS_PER_ADDRESS = 4
        statuses = together(*[lambda: code(reserve(guest(), ticket_type)) for _ in range(6)])
        assert sorted(map(str, statuses)) == ["(429, 'rate_limited')"] * 2 + ["201"] * 4
        assert code(reserve(guest("203.0.113.8"), ticket_type)) == 201
        body = {"ticket_type": ticket_type.pk, "amount": 1}
        at_school = {"X-Forwarded-For": "203.0.113.7"}
        assert code(api.post("/event/reservations/", body, format="json", headers=at_school)) == 201
        page = Client(
            headers={
                "accept": "text/html",
                "sec-fetch-site": "same-origin",
                "x-forwarded-for": "203.0.113.7",
            }
        )
        refused = page.post(f"/events/{ticket_type.event_id}/", {"ticket_type": ticket_type.pk, "amount": 1})
        assert (refused.status_code, bool(refused["Retry-After"])) == (429, True)
        assert "Too many attempts" in refused.content.decode()
