"""The API of events and reservations, as a REST client uses it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import redis_client
from tests.clients import api_of
from tickets.models import Inventory, Reservation, TicketType
from tickets.tests.reserving import RESERVATIONS, reserve

pytestmark = pytest.mark.django_db(transaction=True)


def figures(ticket_type: TicketType) -> tuple[int, int]:
    stock = Inventory.objects.get(pk=ticket_type.pk)
    return stock.held, stock.sold


class TestReserving:
    def test_a_claim_holds_tickets_for_fifteen_minutes(self, api: APIClient, ticket_type: TicketType) -> None:
        answer = reserve(api, ticket_type, 2)

        made = answer.json()
        assert answer.status_code == 201
        assert answer["Location"] == f"/event/reservations/{made['id']}/"
        assert {key: made[key] for key in ("ticket_type", "event", "amount", "unit_price", "total")} == {
            "ticket_type": ticket_type.pk,
            "event": ticket_type.event_id,
            "amount": 2,
            "unit_price": "15.00",
            "total": "30.00",
        }
        assert (made["currency"], made["expires_in"], made["state"], made["validated"]) == (
            "EUR",
            900,
            "held",
            False,
        )
        assert figures(ticket_type) == (2, 0)

    def test_the_next_read_shows_the_reservation(self, api: APIClient, ticket_type: TicketType) -> None:
        event = f"/event/events/{ticket_type.event_id}/"
        before = api.get(event).json()["tickets"][0]
        reserve(api, ticket_type, 3)
        after = api.get(event).json()["tickets"][0]

        assert (before["available"], after["available"], after["held"]) == (50, 47, 3)
        assert after["version"] > before["version"]
        assert api.get(f"/event/tickets/{ticket_type.pk}/").json() == after

    def test_both_forms_of_a_path_are_served_without_a_redirect(
        self, api: APIClient, ticket_type: TicketType
    ) -> None:
        body = {"ticket_type": ticket_type.pk, "amount": 1}
        made = api.post("/event/reservations", body, format="json")
        one = f"/event/reservations/{made.json()['id']}"

        assert made.status_code == 201
        assert (api.get(one).status_code, api.delete(one).status_code) == (200, 204)

    @pytest.mark.parametrize("amount", [0, -1, 1.5, "two", None, True, [], 2**31, 10**30])
    def test_an_amount_that_is_no_positive_whole_number_is_400(
        self, api: APIClient, ticket_type: TicketType, amount: Any
    ) -> None:
        answer = reserve(api, ticket_type, amount)

        assert answer.status_code == 400
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "invalid"
        assert list(answer.json()["errors"]) == ["amount"]
        assert figures(ticket_type) == (0, 0)

    @pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b"null", b"\xff\xfe", b'{"amount": NaN}'])
    def test_a_body_that_is_no_object_is_400(self, api: APIClient, body: bytes) -> None:
        answer = api.post(RESERVATIONS, data=body, content_type="application/json")

        assert answer.status_code == 400

    @pytest.mark.parametrize("address", [RESERVATIONS, "/payment/payments/", "/payment/payments/1/pay/"])
    @pytest.mark.parametrize("body", [b"null", b"[1]", b'"text"'])
    def test_a_fault_of_the_whole_body_is_told_by_field_too(
        self, api: APIClient, address: str, body: bytes
    ) -> None:
        answer = api.post(address, data=body, content_type="application/json")

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert list(answer.json()["errors"]) == ["non_field_errors"]

    @pytest.mark.parametrize("unknown", [2**40, 2**63 - 1])
    def test_an_unknown_type_is_400(self, api: APIClient, unknown: int) -> None:
        answer = reserve(api, unknown)

        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_ticket_type")

    def test_nobody_reserves_without_a_login(self, ticket_type: TicketType) -> None:
        answer = reserve(APIClient(), ticket_type)

        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert "Token" in answer["WWW-Authenticate"]


class TestRefusals:
    def refused(self, answer: Any, code: str) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        assert (answer.status_code, body["code"], body["status"]) == (409, code, 409)
        return body

    def test_a_sold_out_type_refuses_a_claim(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=2, sold=2)

        self.refused(reserve(api, ticket_type), "sold_out")

    def test_all_held_says_when_the_next_hold_ends(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
    ) -> None:
        ticket_type = ticket_type_make(capacity=2)
        held = reserve(api_of(user_make()), ticket_type, 2).json()

        body = self.refused(reserve(api, ticket_type), "all_held")
        assert body["next_release_at"] == held["expires_at"]

    def test_not_enough_says_how_many_there_are(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=3)

        assert self.refused(reserve(api, ticket_type, 4), "not_enough")["available"] == 3

    def test_already_reserved_names_the_reservation(self, api: APIClient, ticket_type: TicketType) -> None:
        mine = reserve(api, ticket_type).json()

        assert self.refused(reserve(api, ticket_type), "already_reserved")["reservation"] == mine["id"]
        assert figures(ticket_type) == (1, 0)

    def test_over_the_limit_counts_what_is_validated(
        self, api: APIClient, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(max_per_user=3, sold=2)
        validated(buyer, ticket_type, 2)

        assert self.refused(reserve(api, ticket_type, 2), "over_limit")["max_per_user"] == 3
        assert reserve(api, ticket_type, 1).status_code == 201

    def test_a_sale_that_is_not_open_says_when_it_will_be(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(opens_at=timezone.now() + timedelta(hours=1))

        opens_at = self.refused(reserve(api, ticket_type), "sale_not_open")["opens_at"]
        assert opens_at == api.get(f"/event/tickets/{ticket_type.pk}/").json()["opens_at"]

    def test_an_ended_sale_refuses_a_claim(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(closes_at=timezone.now() - timedelta(seconds=1))

        self.refused(reserve(api, ticket_type), "sale_ended")

    def test_a_paused_sale_refuses_a_claim(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        self.refused(reserve(api, ticket_type_make(paused=True)), "sale_paused")

    def test_a_claim_past_the_line_is_refused(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(line_first=True)

        self.refused(reserve(api, ticket_type), "line_first")
        assert api.get(f"/event/tickets/{ticket_type.pk}/").json()["sale"] == "line"

    def test_the_most_useful_refusal_comes_first(
        self, api: APIClient, buyer: User, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(capacity=2, max_per_user=2)
        reserve(api, ticket_type, 2)
        Inventory.objects.filter(pk=ticket_type.pk).update(paused=True)
        self.refused(reserve(api, ticket_type), "already_reserved")

        Reservation.objects.filter(buyer=buyer).update(state="validated", validated_at=timezone.now())
        Inventory.objects.filter(pk=ticket_type.pk).update(held=0, sold=2)
        self.refused(reserve(api, ticket_type), "over_limit")


def validated(user: User, ticket_type: TicketType, amount: int) -> Reservation:
    now = timezone.now()
    times = {"created": now, "expires_at": now, "validated_at": now}
    return Reservation.objects.create(
        buyer=user,
        ticket_type=ticket_type,
        quantity=amount,
        unit_price_minor=ticket_type.price_minor,
        currency="EUR",
        state="validated",
        **times,
    )


class TestIdempotencyKey:
    def test_a_repeat_is_answered_as_the_first(self, api: APIClient, ticket_type: TicketType) -> None:
        first = reserve(api, ticket_type, 2, **{"Idempotency-Key": "k-1"})
        again = reserve(api, ticket_type, 2, **{"Idempotency-Key": "k-1"})

        assert (first.status_code, again.status_code) == (201, 201)
        assert again["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first
        assert again.json()["id"] == first.json()["id"]
        assert figures(ticket_type) == (2, 0)

    def test_a_repeat_shows_the_reservation_as_it_is_now(
        self, api: APIClient, ticket_type: TicketType
    ) -> None:
        first = reserve(api, ticket_type, 2, **{"Idempotency-Key": "k-1"}).json()
        api.delete(f"{RESERVATIONS}{first['id']}/")

        again = reserve(api, ticket_type, 2, **{"Idempotency-Key": "k-1"})
        assert (again.status_code, again.json()["state"]) == (201, "released")
        assert figures(ticket_type) == (0, 0)

    def test_the_same_key_with_another_body_is_422(
        self, api: APIClient, ticket_type: TicketType, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        reserve(api, ticket_type, 2, **{"Idempotency-Key": "k-1"})
        other_type = ticket_type_make()

        for wanted, amount in ((ticket_type, 3), (other_type, 2)):
            answer = reserve(api, wanted, amount, **{"Idempotency-Key": "k-1"})
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert figures(other_type) == (0, 0)

    def test_a_key_is_each_buyers_own(
        self, api: APIClient, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        mine = reserve(api, ticket_type, 1, **{"Idempotency-Key": "k-1"}).json()
        theirs = reserve(api_of(user_make()), ticket_type, 1, **{"Idempotency-Key": "k-1"}).json()

        assert mine["id"] != theirs["id"]

    @pytest.mark.parametrize("key", ["", "x" * 65, "caf\xe9", "tab\there"])
    def test_a_malformed_key_is_400(self, api: APIClient, ticket_type: TicketType, key: str) -> None:
        assert reserve(api, ticket_type, 1, **{"Idempotency-Key": key}).status_code == 400
        assert figures(ticket_type) == (0, 0)

    def test_a_refusal_is_not_kept(self, api: APIClient, ticket_type_make: Callable[..., TicketType]) -> None:
        ticket_type = ticket_type_make(paused=True)
        assert reserve(api, ticket_type, 1, **{"Idempotency-Key": "k-1"}).status_code == 409
        Inventory.objects.filter(pk=ticket_type.pk).update(paused=False)

        assert reserve(api, ticket_type, 1, **{"Idempotency-Key": "k-1"}).status_code == 201


class TestMyReservations:
    def test_the_list_has_mine_newest_first(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
    ) -> None:
        ticket_types = [ticket_type_make() for _ in range(3)]
        mine = [reserve(api, ticket_type).json()["id"] for ticket_type in ticket_types]
        reserve(api_of(user_make()), ticket_types[0])
        api.delete(f"{RESERVATIONS}{mine[1]}/")

        listed = api.get(RESERVATIONS).json()
        assert [shown["id"] for shown in listed["results"]] == [mine[2], mine[0]]
        assert (listed["next"], listed["previous"]) == (None, None)
        released = api.get(RESERVATIONS, {"state": "released,expired"}).json()["results"]
        assert [shown["id"] for shown in released] == [mine[1]]

    def test_pages_follow_each_other(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        mine = [reserve(api, ticket_type_make()).json()["id"] for _ in range(3)]

        first = api.get(RESERVATIONS, {"page_size": 2}).json()
        second = api.get(first["next"]).json()
        assert [shown["id"] for shown in first["results"] + second["results"]] == mine[::-1]
        assert second["next"] is None

    def test_an_unknown_state_is_400(self, api: APIClient) -> None:
        assert api.get(RESERVATIONS, {"state": "lost"}).status_code == 400

    @pytest.mark.parametrize("cursor", ["rubbish", "cD1hYmM=", "after~99999999999999999999999999"])
    def test_a_cursor_that_no_list_gave_is_malformed(self, api: APIClient, cursor: str) -> None:
        answer = api.get(RESERVATIONS, {"cursor": cursor})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")

    def test_another_buyers_reservation_is_not_found(
        self, api: APIClient, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        theirs = f"{RESERVATIONS}{reserve(api_of(user_make()), ticket_type).json()['id']}/"

        for answer in (api.get(theirs), api.delete(theirs)):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert figures(ticket_type) == (1, 0)

    def test_an_id_beyond_a_bigint_is_not_found(self, api: APIClient) -> None:
        assert api.get(f"{RESERVATIONS}{2**63}/").status_code == 404
        assert api.get(f"/event/events/{10**40}/").status_code == 404

    def test_release_gives_the_tickets_back(self, api: APIClient, ticket_type: TicketType) -> None:
        mine = f"{RESERVATIONS}{reserve(api, ticket_type, 4).json()['id']}/"

        assert api.delete(mine).status_code == 204
        assert figures(ticket_type) == (0, 0)
        gone = api.get(mine)
        assert (gone.status_code, gone.json()["state"]) == (410, "released")
        assert gone.json()["ended_at"] is not None
        again = api.delete(mine)
        assert (again.status_code, again.json()["ended_at"]) == (410, gone.json()["ended_at"])
        assert figures(ticket_type) == (0, 0)

    @pytest.mark.parametrize(
        ("state", "code"), [("paying", "payment_in_progress"), ("validated", "already_validated")]
    )
    def test_a_reservation_that_is_paid_or_being_paid_is_not_released(
        self, api: APIClient, ticket_type: TicketType, state: str, code: str
    ) -> None:
        mine = reserve(api, ticket_type).json()["id"]
        at = timezone.now() if state == "validated" else None
        Reservation.objects.filter(pk=mine).update(state=state, validated_at=at)

        answer = api.delete(f"{RESERVATIONS}{mine}/")
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert Reservation.objects.get(pk=mine).state == state


class TestEvents:
    def test_the_list_is_by_date_with_the_types_that_have_tickets_left(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        late, early = ticket_type_make(), ticket_type_make()
        early.event.date = timezone.now() + timedelta(days=1)
        early.event.save()
        empty = ticket_type_make(event=early.event, capacity=1, sold=1)

        results = APIClient().get("/event/events/").json()["results"]
        assert [(shown["id"], shown["tickets"]) for shown in results] == [
            (early.event_id, [early.pk]),
            (late.event_id, [late.pk]),
        ]
        assert empty.pk not in results[0]["tickets"]

    def test_upcoming_leaves_out_events_that_have_begun(
        self, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        past, coming = ticket_type_make(), ticket_type_make()
        past.event.date = timezone.now() - timedelta(days=1)
        past.event.save()

        api = APIClient()
        assert len(api.get("/event/events/").json()["results"]) == 2
        upcoming = api.get("/event/events/", {"upcoming": "true"}).json()["results"]
        assert [shown["id"] for shown in upcoming] == [coming.event_id]

    def test_an_unchanged_event_is_not_sent_again(self, api: APIClient, ticket_type: TicketType) -> None:
        event = f"/event/events/{ticket_type.event_id}/"
        tag = api.get(event)["ETag"]
        unchanged = api.get(event, headers={"If-None-Match": tag})
        assert unchanged.status_code == 304
        # The widget sends such requests from pages of other sites.
        assert unchanged["Access-Control-Allow-Origin"] == "*"

        reserve(api, ticket_type)
        changed = api.get(event, headers={"If-None-Match": tag})
        assert (changed.status_code, changed["ETag"] != tag) == (200, True)

    def test_a_state_that_another_version_cached_is_read_again(
        self, api: APIClient, ticket_type: TicketType
    ) -> None:
        event = f"/event/events/{ticket_type.event_id}/"
        before = api.get(event).json()["tickets"]
        key = f"event:{ticket_type.event_id}"
        for field, kept in redis_client.connection().hgetall(key).items():
            version, _, text = kept.partition(" ")
            old = text.replace('"sold"', '"gone"').replace('"date"', '"day"')
            redis_client.connection().hset(key, field, f"{version} {old}")

        assert api.get(event).json()["tickets"] == before

    def test_an_event_says_when_the_next_hold_ends(self, api: APIClient, ticket_type: TicketType) -> None:
        detail = f"/event/tickets/{ticket_type.pk}/"
        assert api.get(detail).json()["next_release_at"] is None
        held = reserve(api, ticket_type).json()

        assert api.get(detail).json()["next_release_at"] == held["expires_at"]

    def test_an_unknown_event_is_404(self, db: None) -> None:
        assert APIClient().get("/event/events/4711/").json()["code"] == "not_found"
        assert APIClient().get("/event/tickets/4711/").status_code == 404


def test_a_reservation_is_one_statement_besides_authentication(
    api: APIClient, ticket_type: TicketType, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2) as asked:
        assert reserve(api, ticket_type).status_code == 201

    sent = [query["sql"] for query in asked.captured_queries]
    assert "accounts_apitoken" in sent[0]
    assert "reservation_claim" in sent[1]
