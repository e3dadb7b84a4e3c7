"""Orders of several ticket types by API: claimed all or none, added to, changed, released and extended."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from tests.clients import api_of
from tickets import services
from tickets.models import Event, Inventory, Reservation, TicketType
from tickets.tests.reserving import RESERVATIONS, end, reserve
from tickets.tests.vouchers import voucher_make

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = "/event/reservations/batch/"


def batch(api: APIClient, *items: tuple[TicketType | int, Any], order: Any = None, **headers: str) -> Any:
    """Claim these amounts of these ticket types by the API; return the answer."""
    asked = [
        {"ticket_type": each.pk if isinstance(each, TicketType) else each, "amount": amount}
        for each, amount in items
    ]
    body = {"items": asked} if order is None else {"items": asked, "order": order}
    return api.post(BATCH, body, format="json", headers=headers)


def left_out(shown: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name != member}


def held(*types: TicketType) -> list[int]:
    return [Inventory.objects.get(pk=each.pk).held for each in types]


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return three ticket types of one event, of 15.00, 10.00 and nothing."""
    first = ticket_type_make(price_minor=1500)
    return [first, *(ticket_type_make(event=first.event, price_minor=price) for price in (1000, 0))]


class TestClaiming:
    def test_three_types_are_one_order(self, api: APIClient, types: list[TicketType]) -> None:
        answer = batch(api, (types[2], 1), (types[0], 2), (types[1], 3))

        order = answer.json()
        assert (answer.status_code, order["total"], order["currency"]) == (201, "60.00", "EUR")
        lines = order["reservations"]
        assert [(line["ticket_type"], line["amount"]) for line in lines] == [
            (types[2].pk, 1),
            (types[0].pk, 2),
            (types[1].pk, 3),
        ]
        assert {line["order"] for line in lines} == {order["order"]} == {lines[0]["id"]}
        assert len({line["expires_at"] for line in lines}) == 1
        assert answer["Location"] == f"{RESERVATIONS}{order['order']}/"
        assert held(*types) == [2, 3, 1]
        read = [api.get(f"{RESERVATIONS}{line['id']}/").json() for line in lines]
        assert [left_out(line, "expires_in") for line in read] == [
            left_out(line, "expires_in") for line in lines
        ]

    def test_counters_and_versions_of_each_type_rise_once(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        batch(api, (types[0], 2), (types[1], 1))

        stock = Inventory.objects.get(pk=types[0].pk)
        assert (stock.reservations, stock.reserved_tickets, stock.version) == (1, 2, 2)
        assert api.get(f"/event/tickets/{types[0].pk}/").json()["available"] == 48

    @pytest.mark.parametrize(
        ("change", "code", "facts"),
        [
            ({"capacity": 1}, "not_enough", {"available": 1}),
            ({"capacity": 0}, "sold_out", {}),
            ({"paused": True}, "sale_paused", {}),
            ({"line_first": True}, "line_first", {}),
            ({"opens_at": timezone.now() + timedelta(days=1)}, "sale_not_open", {}),
            ({"closes_at": timezone.now() - timedelta(days=1)}, "sale_ended", {}),
        ],
    )
    def test_one_refused_type_refuses_all_and_leaves_no_trace(
        self,
        change: dict[str, Any],
        code: str,
        facts: dict[str, Any],
        api: APIClient,
        types: list[TicketType],
    ) -> None:
        Inventory.objects.filter(pk=types[1].pk).update(**change)
        before = list(Inventory.objects.order_by("pk").values())

        answer = batch(api, (types[0], 2), (types[1], 2), (types[2], 1))

        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["ticket_type"]) == (409, code, types[1].pk)
        assert facts.items() <= problem.items()
        assert list(Inventory.objects.order_by("pk").values()) == before
        assert not Reservation.objects.exists()

    def test_a_cached_refusal_names_the_type_in_an_order_only(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        Inventory.objects.filter(pk=types[1].pk).update(capacity=0)

        for _ in range(2):  # the second answer is cached
            assert batch(api, (types[0], 1), (types[1], 1)).json()["ticket_type"] == types[1].pk
            assert "ticket_type" not in reserve(api, types[1]).json()

    def test_the_first_refused_type_is_named(self, api: APIClient, types: list[TicketType]) -> None:
        Inventory.objects.filter(pk__in=[types[0].pk, types[2].pk]).update(paused=True)

        assert batch(api, (types[1], 1), (types[2], 1), (types[0], 1)).json()["ticket_type"] == types[2].pk

    def test_a_claim_is_refused_by_the_buyers_own_hold_and_by_the_limit(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        mine = reserve(api, types[0]).json()["id"]

        again = batch(api, (types[1], 1), (types[0], 1)).json()
        assert (again["code"], again["ticket_type"], again["reservation"]) == (
            "already_reserved",
            types[0].pk,
            mine,
        )
        over = batch(api, (types[1], 11)).json()
        assert (over["code"], over["ticket_type"], over["max_per_user"]) == ("over_limit", types[1].pk, 10)

    def test_due_holds_make_room(
        self, api: APIClient, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        Inventory.objects.update(capacity=2)
        others = user_make()
        batch(api_of(others), *[(each, 2) for each in types])
        end(others)

        assert batch(api, *[(each, 2) for each in types]).status_code == 201
        assert held(*types) == [2, 2, 2]

    def test_all_types_are_of_one_event(
        self, api: APIClient, types: list[TicketType], ticket_type: TicketType
    ) -> None:
        answer = batch(api, (types[0], 1), (ticket_type, 1))

        assert (answer.status_code, answer.json()["code"]) == (400, "several_events")

    def test_an_unknown_type_is_named(self, api: APIClient, types: list[TicketType]) -> None:
        answer = batch(api, (types[0], 1), (2**63 - 1, 1))

        assert answer.status_code == 400
        assert (answer.json()["code"], answer.json()["ticket_type"]) == ("unknown_ticket_type", 2**63 - 1)

    def test_twenty_types_are_the_most(
        self, api: APIClient, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        event: Event = types[0].event
        more = [ticket_type_make(event=event) for _ in range(18)]

        assert batch(api, *[(each, 1) for each in [*types, *more]]).status_code == 400
        assert batch(api, *[(each, 1) for each in [*types, *more][:20]]).status_code == 201

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"items": []},
            {"items": "x"},
            {"items": [1]},
            {"items": [{"ticket_type": 1}]},
            {"items": [{"ticket_type": 1, "amount": 0}]},
            {"items": [{"ticket_type": 1, "amount": 2**31}]},
            {"items": [{"ticket_type": "1_0", "amount": 1}]},
            {"items": [{"ticket_type": 2**63, "amount": 1}]},
            {"items": [{"ticket_type": 1, "amount": 1}] * 2},
            {"items": [{"ticket_type": 1, "amount": 1}], "order": "x"},
            {"items": [{"ticket_type": 1, "amount": 1}], "order": 2**63},
        ],
    )
    def test_a_malformed_order_is_400(self, body: Any, api: APIClient) -> None:
        assert api.post(BATCH, body, format="json").status_code == 400

    def test_the_largest_amount_of_the_dearest_ticket_is_refused(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        TicketType.objects.filter(pk=types[0].pk).update(price_minor=10**12, max_per_user=2**31 - 1)
        Inventory.objects.filter(pk=types[0].pk).update(capacity=2**31 - 1)

        answer = batch(api, (types[1], 1), (types[0], 2**31 - 1))

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
        assert held(*types) == [0, 0, 0]

    def test_an_order_needs_a_log_in(self, types: list[TicketType]) -> None:
        assert batch(APIClient(), (types[0], 1)).status_code == 401


class TestIdempotency:
    def test_a_repeat_gives_the_same_order(self, api: APIClient, types: list[TicketType]) -> None:
        items = [(types[0], 1), (types[1], 2)]
        first = batch(api, *items, **{"Idempotency-Key": "k"})
        again = batch(api, *items, **{"Idempotency-Key": "k"})

        assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
        assert "Idempotency-Replayed" not in first
        assert [line["id"] for line in again.json()["reservations"]] == [
            line["id"] for line in first.json()["reservations"]
        ]
        assert held(*types) == [1, 2, 0]

    def test_another_body_is_422(self, api: APIClient, types: list[TicketType]) -> None:
        key = {"Idempotency-Key": "k"}
        order = batch(api, (types[0], 1), (types[1], 2), **key).json()["order"]

        for other in (
            batch(api, (types[0], 1), **key),
            batch(api, (types[0], 1), (types[1], 1), **key),
            batch(api, (types[0], 1), (types[1], 2), (types[2], 1), **key),
            batch(api, (types[0], 1), (types[1], 2), order=order, **key),
            reserve(api, types[0], 1, **key),
        ):
            assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    def test_a_key_of_a_single_claim_is_not_one_of_a_batch(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        key = {"Idempotency-Key": "k"}
        reserve(api, types[0], 1, **key)

        assert batch(api, (types[0], 1), (types[1], 1), **key).status_code == 422

    @pytest.mark.parametrize("code", [None, "SPRING"])
    def test_a_key_is_valid_at_one_address_only(
        self, api: APIClient, types: list[TicketType], code: str | None
    ) -> None:
        """Send the same ticket type, quantity and code to the other address, whose answers have another form."""
        voucher_make(types[0].event)
        alone = [{"ticket_type": each.pk, "amount": 1, "code": code} for each in types[:2]]
        batches = [{"items": [{"ticket_type": each.pk, "amount": 1}], "code": code} for each in types[:2]]
        asked = [
            [(RESERVATIONS, alone[0]), (BATCH, batches[0])],
            [(BATCH, batches[1]), (RESERVATIONS, alone[1])],
        ]
        for nth, [first, other] in enumerate(asked):
            key = {"Idempotency-Key": f"k{nth}"}
            answers = [
                api.post(path, body, format="json", headers=key) for path, body in (first, other, first)
            ]
            assert [each.status_code for each in answers] == [201, 422, 201]
            assert answers[2]["Idempotency-Replayed"] == "true"

        # The former release leaves keys like this, valid at both addresses.
        Reservation.objects.update(key_of_batch=None)
        for nth, requests in enumerate(asked):
            for path, body in requests:
                again = api.post(path, body, format="json", headers={"Idempotency-Key": f"k{nth}"})
                assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")

    def test_a_repeat_is_known_after_amounts_changed_and_types_were_added(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        key = {"Idempotency-Key": "k"}
        made = batch(api, (types[0], 1), (types[1], 2), **key).json()
        api.patch(f"{RESERVATIONS}{made['reservations'][1]['id']}/", {"amount": 5}, format="json")
        batch(api, (types[2], 1), order=made["order"])

        again = batch(api, (types[0], 1), (types[1], 2), **key)

        assert again.status_code == 201
        assert [line["amount"] for line in again.json()["reservations"]] == [1, 5, 1]

    def test_a_repeat_of_an_addition_is_known(self, api: APIClient, types: list[TicketType]) -> None:
        order = reserve(api, types[0]).json()["order"]
        key = {"Idempotency-Key": "k"}
        batch(api, (types[1], 1), (types[2], 1), order=order, **key)

        again = batch(api, (types[1], 1), (types[2], 1), order=order, **key)

        assert (again.status_code, len(again.json()["reservations"])) == (201, 3)
        assert batch(api, (types[1], 1), (types[2], 1), **key).status_code == 422
        assert reserve(api, types[1], **key).status_code == 422


class TestAdding:
    def test_types_are_added_and_end_with_the_order(self, api: APIClient, types: list[TicketType]) -> None:
        first = reserve(api, types[0], 2).json()
        Reservation.objects.update(expires_at=timezone.now() + timedelta(minutes=3))
        until = Reservation.objects.get().expires_at

        answer = batch(api, (types[1], 1), (types[2], 4), order=first["order"])

        order = answer.json()
        assert (answer.status_code, order["order"], order["total"]) == (201, first["id"], "40.00")
        assert len(order["reservations"]) == 3
        assert set(Reservation.objects.values_list("expires_at", flat=True)) == {until}

    def test_an_order_without_its_first_reservation_keeps_its_id(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        order = batch(api, (types[0], 1), (types[1], 1)).json()["order"]
        assert api.delete(f"{RESERVATIONS}{order}/").status_code == 204

        added = batch(api, (types[0], 2), order=order)

        assert (added.status_code, added.json()["order"]) == (201, order)
        assert [line["state"] for line in added.json()["reservations"]] == ["released", "held", "held"]
        assert added.json()["total"] == "40.00"

    def test_types_are_added_only_to_an_order_of_the_buyer(
        self, api: APIClient, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        theirs = reserve(api_of(user_make()), types[0]).json()["order"]
        mine = batch(api, (types[0], 1), (types[1], 1)).json()["reservations"]

        for order in (theirs, 2**63 - 1, mine[1]["id"]):
            assert batch(api, (types[2], 1), order=order).status_code == 404
        assert held(types[2]) == [0]

    @pytest.mark.parametrize(
        ("state", "status", "code"),
        [
            ("paying", 409, "payment_in_progress"),
            ("validated", 409, "already_validated"),
            ("released", 410, "reservation_ended"),
            ("expired", 410, "reservation_ended"),
            ("due", 410, "reservation_ended"),
        ],
    )
    def test_types_are_added_only_to_a_held_order(
        self, state: str, status: int, code: str, api: APIClient, buyer: User, types: list[TicketType]
    ) -> None:
        order = reserve(api, types[0]).json()["order"]
        now = timezone.now()
        changes: dict[str, Any] = {"state": state}
        if state == "due":
            changes = {"expires_at": now}
        elif state != "paying":
            changes["validated_at" if state == "validated" else "ended_at"] = now
        Reservation.objects.filter(pk=order).update(**changes)

        answer = batch(api, (types[1], 1), order=order)

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (answer.json().get("ended_at") is not None) is (status == 410)
        assert held(types[1]) == [0]

    def test_another_event_cannot_be_added(
        self, api: APIClient, types: list[TicketType], ticket_type: TicketType
    ) -> None:
        order = reserve(api, types[0]).json()["order"]

        assert batch(api, (ticket_type, 1), order=order).json()["code"] == "several_events"

    def test_an_order_has_at_most_twenty_types(
        self, api: APIClient, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        more = [ticket_type_make(event=types[0].event) for _ in range(17)]
        order = batch(api, *[(each, 1) for each in [*types, *more][:19]]).json()["order"]

        full = batch(api, (more[15], 1), (more[16], 1), order=order)
        assert (full.status_code, full.json()["code"]) == (409, "order_full")
        assert batch(api, (more[16], 1), order=order).status_code == 201


class TestResizing:
    @pytest.mark.parametrize("amount", [1, 4, 5])
    def test_the_amount_changes_and_the_end_stays(
        self, amount: int, api: APIClient, types: list[TicketType]
    ) -> None:
        made = reserve(api, types[0], 4).json()

        answer = api.patch(f"{RESERVATIONS}{made['id']}/", {"amount": amount}, format="json")

        changed = answer.json()
        assert (answer.status_code, changed["amount"]) == (200, amount)
        assert changed["expires_at"] == made["expires_at"]
        assert changed["version"] == (1 if amount == 4 else 2)
        assert held(types[0]) == [amount]
        assert Inventory.objects.get(pk=types[0].pk).reserved_tickets == amount
        assert api.get(f"/event/tickets/{types[0].pk}/").json()["available"] == 50 - amount

    def test_a_changed_hold_keeps_its_price(self, api: APIClient, types: list[TicketType]) -> None:
        made = reserve(api, types[0], 1).json()
        TicketType.objects.filter(pk=types[0].pk).update(price_minor=9900)

        changed = api.patch(f"{RESERVATIONS}{made['id']}/", {"amount": 2}, format="json").json()

        assert (changed["unit_price"], changed["total"]) == ("15.00", "30.00")

    @pytest.mark.parametrize(
        ("stock", "amount", "code", "facts"),
        [
            ({"capacity": 4}, 6, "not_enough", {"available": 1}),
            ({"capacity": 3}, 4, "all_held", {}),
            ({"paused": True}, 4, "sale_paused", {}),
            ({"line_first": True}, 4, "line_first", {}),
            ({"closes_at": timezone.now() - timedelta(days=1)}, 4, "sale_ended", {}),
            ({}, 11, "over_limit", {"max_per_user": 10}),
        ],
    )
    def test_more_are_refused_like_a_new_hold_and_nothing_changes(
        self,
        stock: dict[str, Any],
        amount: int,
        code: str,
        facts: dict[str, Any],
        api: APIClient,
        types: list[TicketType],
    ) -> None:
        made = reserve(api, types[0], 3).json()
        Inventory.objects.filter(pk=types[0].pk).update(**stock)

        answer = api.patch(f"{RESERVATIONS}{made['id']}/", {"amount": amount}, format="json")

        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert facts.items() <= answer.json().items()
        assert held(types[0]) == [3]
        assert Reservation.objects.get().version == 1

    def test_fewer_are_granted_when_the_sale_is_paused(self, api: APIClient, types: list[TicketType]) -> None:
        made = reserve(api, types[0], 3).json()
        Inventory.objects.update(paused=True)

        assert api.patch(f"{RESERVATIONS}{made['id']}/", {"amount": 2}, format="json").status_code == 200

    def test_due_holds_make_room(
        self, api: APIClient, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        Inventory.objects.update(capacity=3)
        made, other = reserve(api, types[0], 1).json(), user_make()
        reserve(api_of(other), types[0], 2)
        end(other)

        assert api.patch(f"{RESERVATIONS}{made['id']}/", {"amount": 3}, format="json").status_code == 200

    @pytest.mark.parametrize(
        ("state", "status", "code"),
        [
            ("paying", 409, "payment_in_progress"),
            ("validated", 409, "already_validated"),
            ("released", 410, "reservation_ended"),
            ("due", 410, "reservation_ended"),
        ],
    )
    def test_only_a_hold_changes_its_amount(
        self, state: str, status: int, code: str, api: APIClient, types: list[TicketType]
    ) -> None:
        made = reserve(api, types[0]).json()["id"]
        now = timezone.now()
        changes: dict[str, Any] = {"state": state}
        if state == "due":
            changes = {"expires_at": now}
        elif state != "paying":
            changes["validated_at" if state == "validated" else "ended_at"] = now
        Reservation.objects.filter(pk=made).update(**changes)

        answer = api.patch(f"{RESERVATIONS}{made}/", {"amount": 2}, format="json")

        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (answer.json().get("ended_at") is not None) is (status == 410)
        assert Reservation.objects.get().quantity == 1

    def test_a_reservation_of_another_buyer_is_404(
        self, api: APIClient, types: list[TicketType], user_make: Callable[..., User]
    ) -> None:
        theirs = reserve(api_of(user_make()), types[0]).json()["id"]

        assert api.patch(f"{RESERVATIONS}{theirs}/", {"amount": 2}, format="json").status_code == 404

    @pytest.mark.parametrize("amount", [None, 0, -1, "1_0", 2**31, 1.5, True])
    def test_a_malformed_amount_is_400(self, amount: Any, api: APIClient, types: list[TicketType]) -> None:
        made = reserve(api, types[0]).json()["id"]

        assert api.patch(f"{RESERVATIONS}{made}/", {"amount": amount}, format="json").status_code == 400
        assert api.patch(f"{RESERVATIONS}{made}/", {}, format="json").status_code == 400

    def test_a_total_beyond_what_a_payment_can_be_is_refused(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        TicketType.objects.update(price_minor=10**12, max_per_user=2**31 - 1)
        Inventory.objects.update(capacity=2**31 - 1)
        made = reserve(api, types[0]).json()["id"]

        answer = api.patch(f"{RESERVATIONS}{made}/", {"amount": 2**31 - 1}, format="json")

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


class TestEnding:
    def test_one_line_is_released_and_the_rest_stays(self, api: APIClient, types: list[TicketType]) -> None:
        lines = batch(api, *[(each, 2) for each in types]).json()["reservations"]

        assert api.delete(f"{RESERVATIONS}{lines[1]['id']}/").status_code == 204

        assert held(*types) == [2, 0, 2]
        left = api.get(RESERVATIONS).json()["results"]
        assert {(each["order"], each["state"]) for each in left} == {(lines[0]["id"], "held")}

    def test_all_lines_expire_together(self, api: APIClient, buyer: User, types: list[TicketType]) -> None:
        batch(api, *[(each, 2) for each in types])
        end(buyer)

        assert services.due_holds_sweep() == 3

        assert held(*types) == [0, 0, 0]
        assert set(Reservation.objects.values_list("state", flat=True)) == {"expired"}

    @pytest.mark.parametrize("asked", [0, 1])
    def test_extending_one_extends_the_order(
        self, asked: int, api: APIClient, types: list[TicketType]
    ) -> None:
        lines = batch(api, *[(each, 1) for each in types]).json()["reservations"]
        api.delete(f"{RESERVATIONS}{lines[2]['id']}/")
        soon = timezone.now() + timedelta(seconds=20)
        Reservation.objects.update(expires_at=soon)

        answer = api.post(f"{RESERVATIONS}{lines[asked]['id']}/extend/")

        assert answer.status_code == 200
        ends = list(Reservation.objects.order_by("pk").values_list("expires_at", flat=True))
        assert ends[0] == ends[1] > soon + timedelta(minutes=4)
        assert ends[2] == soon

    def test_an_addition_extends_an_order_to_no_more_than_thirty_minutes(
        self, api: APIClient, types: list[TicketType]
    ) -> None:
        order = reserve(api, types[0]).json()["order"]
        now = timezone.now()
        Reservation.objects.update(
            created=now - timedelta(minutes=29), expires_at=now + timedelta(seconds=30)
        )
        added = batch(api, (types[1], 1), order=order).json()["reservations"][1]

        assert api.post(f"{RESERVATIONS}{added['id']}/extend/").status_code == 200

        limit = Reservation.objects.get(pk=order).created + timedelta(minutes=30)
        assert set(Reservation.objects.values_list("expires_at", flat=True)) == {limit}
