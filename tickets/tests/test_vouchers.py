"""Discount and presale codes, as a REST client sees them: their prices, refusals and counts."""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.money import LARGEST_MINOR
from overlord.kernel.rate_limits import Limit
from tests.clients import api_of
from tests.threads import together
from tickets import limits, operations, services, voucher_rules
from tickets.models import Inventory, Reservation, TicketType, Voucher
from tickets.tests.reserving import RESERVATIONS, end, reserve, waiting_for_a_lock
from tickets.tests.vouchers import VOUCHERS_WRONG, reserve_with, voucher_make
from tickets.voucher_rules import PriceRule

pytestmark = pytest.mark.django_db(transaction=True)

SOON = timedelta(days=1)  # the parameters below are made when the tests are collected


def used(voucher: Voucher) -> int:
    voucher.refresh_from_db()
    assert db.rows(VOUCHERS_WRONG) == []
    return voucher.used


class TestPrice:
    @pytest.mark.parametrize(
        ("rule", "value", "price", "expected"),
        [
            (PriceRule.PERCENT, 10, 1500, 1350),
            (PriceRule.PERCENT, 50, 101, 50),  # half a cent is rounded in favour of the buyer
            (PriceRule.PERCENT, 1, 149, 148),
            (PriceRule.PERCENT, 1, 151, 149),
            (PriceRule.PERCENT, 100, LARGEST_MINOR, 0),
            (PriceRule.FIXED, 1000, 1500, 1000),
            (PriceRule.FIXED, 1000, 800, 800),  # never more than without the code
            (PriceRule.LESS, 500, 1500, 1000),
            (PriceRule.LESS, 2000, 1500, 0),
            (PriceRule.UNCHANGED, 0, 1500, 1500),
        ],
    )
    def test_each_rule_gives_its_price(self, rule: PriceRule, value: int, price: int, expected: int) -> None:
        assert voucher_rules.price_with(rule, value, price) == expected

    def test_the_database_computes_the_same_price(self) -> None:
        drawn = random.Random(43)  # noqa: S311  (no secret)
        prices = [0, 1, LARGEST_MINOR, *(drawn.randrange(10_000) for _ in range(20))]
        cases = [(rule, value, price) for rule in PriceRule for value in range(101) for price in prices]
        rules, values, asked = (list(column) for column in zip(*cases, strict=True))
        found = db.rows(
            "SELECT voucher_price(rule, value, price) AS price"
            " FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS c (rule, value, price)",
            [rules, values, asked],
        )

        assert [row["price"] for row in found] == [voucher_rules.price_with(*case) for case in cases]

    def test_a_reservation_keeps_its_price(self, api: APIClient, ticket_type: TicketType) -> None:
        voucher = voucher_make(ticket_type.event)

        made = reserve_with(api, ticket_type, " spring ", 2)
        Voucher.objects.update(price_value=50)

        assert made.status_code == 201
        found = {key: made.json()[key] for key in ("unit_price", "unit_discount", "total", "code")}
        assert found == {"unit_price": "13.50", "unit_discount": "1.50", "total": "27.00", "code": "SPRING"}
        assert api.get(made["Location"]).json()["total"] == "27.00"
        assert used(voucher) == 2

    @pytest.mark.parametrize("code", [None, "", "  "])
    def test_an_answer_without_a_code_does_not_mention_codes(
        self, api: APIClient, ticket_type: TicketType, code: str | None
    ) -> None:
        voucher_make(ticket_type.event)

        assert not {"code", "unit_discount"} & set(reserve_with(api, ticket_type, code).json())

    def test_only_the_types_of_a_code_have_its_price_in_an_order(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        first = ticket_type_make()
        other = ticket_type_make(event=first.event)
        voucher = voucher_make(first.event, types=[first], price_rule="less", price_value=1500)
        items = [{"ticket_type": each.pk, "amount": 2} for each in (other, first)]

        made = api.post(f"{RESERVATIONS}batch/", {"items": items, "code": "SPRING"}, format="json").json()

        assert made["total"] == "30.00"
        assert [each.get("code") for each in made["reservations"]] == [None, "SPRING"]
        assert used(voucher) == 2


class TestRights:
    def test_a_presale_code_opens_its_types_early(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        ticket_type = ticket_type_make(opens_at=timezone.now() + SOON)
        early = {"price_rule": "unchanged", "price_value": 0, "opens_early": True}
        voucher_make(ticket_type.event, "FANS", **early)
        voucher_make(ticket_type.event, "CHEAP")

        assert reserve(api, ticket_type).json()["code"] == "sale_not_open"
        assert reserve_with(api, ticket_type, "CHEAP").json()["code"] == "sale_not_open"
        made = reserve_with(api, ticket_type, "fans")
        assert (made.status_code, made.json()["unit_price"]) == (201, "15.00")
        assert api.patch(made["Location"], {"amount": 3}, format="json").json()["amount"] == 3

    @pytest.mark.parametrize(
        ("stock", "code"), [("paused", "sale_paused"), ("line_first", "line_first"), ("ended", "sale_ended")]
    )
    def test_a_code_does_not_open_a_paused_line_first_or_ended_sale(
        self, api: APIClient, ticket_type: TicketType, stock: str, code: str
    ) -> None:
        ended = {"opens_at": None, "closes_at": timezone.now() - SOON}
        Inventory.objects.update(**(ended if stock == "ended" else {stock: True}))
        voucher = voucher_make(ticket_type.event, opens_early=True)

        assert reserve_with(api, ticket_type, "SPRING").json()["code"] == code
        assert used(voucher) == 0

    def test_a_hidden_type_is_for_the_codes_that_name_it(
        self, api: APIClient, ticket_type: TicketType
    ) -> None:
        TicketType.objects.update(hidden=True)
        voucher_make(ticket_type.event, "ALL")
        voucher_make(ticket_type.event, "FRIENDS", types=[ticket_type])

        assert reserve_with(api, ticket_type, "ALL").json()["code"] == "unknown_ticket_type"
        assert reserve_with(api, ticket_type, "FRIENDS").status_code == 201


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"text": "OTHER"}, "code_unknown"),
            ({"valid_from": timezone.now() + SOON}, "code_not_yet_valid"),
            ({"valid_until": timezone.now() - SOON}, "code_ended"),
            ({"ended_at": timezone.now()}, "code_ended"),
            ({"all_types": False}, "code_not_for_type"),
            ({"most_uses": 1}, "code_used_up"),
        ],
    )
    def test_each_refusal_of_a_code_tells_its_reason(
        self, api: APIClient, ticket_type: TicketType, fields: dict[str, Any], code: str
    ) -> None:
        voucher = voucher_make(ticket_type.event, **fields)

        answer = reserve_with(api, ticket_type, "SPRING", 2)

        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert used(voucher) == 0
        assert Inventory.objects.get().held == 0

    def test_another_events_code_is_unknown(
        self, api: APIClient, ticket_type_make: Callable[..., TicketType]
    ) -> None:
        voucher_make(ticket_type_make().event)

        assert reserve_with(api, ticket_type_make(), "SPRING").json()["code"] == "code_unknown"

    @pytest.mark.parametrize("code", ["x" * 41, "a\0b", ["SPRING"], True, {}])
    def test_a_text_that_cannot_be_a_code_is_malformed(
        self, api: APIClient, ticket_type: TicketType, code: Any
    ) -> None:
        answer = reserve_with(api, ticket_type, code)

        assert (answer.status_code, "code" in answer.json()["errors"]) == (400, True)

    def test_a_key_belongs_to_its_code(self, api: APIClient, ticket_type: TicketType) -> None:
        voucher_make(ticket_type.event)
        key = {"Idempotency-Key": "one"}
        first = reserve_with(api, ticket_type, "SPRING", **key)
        again = reserve_with(api, ticket_type, "spring", **key)

        assert (again.status_code, again["Idempotency-Replayed"]) == (201, "true")
        assert again.json()["id"] == first.json()["id"]
        assert reserve(api, ticket_type, **key).status_code == 422
        assert reserve_with(api, ticket_type, "OTHER", **key).status_code == 422

    def test_after_ten_unknown_codes_no_code_is_answered_for_a_while(
        self, api: APIClient, ticket_type: TicketType, settings: Any
    ) -> None:
        settings.RATE_LIMITS = True
        voucher_make(ticket_type.event)
        guesses = [reserve_with(api, ticket_type, f"GUESS{n}").status_code for n in range(11)]

        answer = reserve_with(api, ticket_type, "SPRING")

        assert guesses == [409] * 10 + [429]
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert reserve(api, ticket_type).status_code == 201

    def test_guesses_of_one_address_are_counted_together(
        self,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.RATE_LIMITS = True
        monkeypatch.setattr(limits, "GUESS_BY_ADDRESS", Limit(name="few-guesses", amount=2, seconds=600))
        guesses = [reserve_with(api_of(user_make()), ticket_type, f"GUESS{n}").status_code for n in range(3)]

        assert guesses == [409, 409, 429]

    def test_a_try_counts_before_it_is_answered(
        self,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings.RATE_LIMITS = True
        monkeypatch.setattr(limits, "GUESS_BY_ADDRESS", Limit(name="few-guesses", amount=2, seconds=600))
        voucher_make(ticket_type.event)
        locked, answered = threading.Event(), threading.Event()
        first, second, third = (api_of(user_make()) for _ in range(3))

        def lock() -> None:
            with db.transaction():
                Inventory.objects.select_for_update().get(pk=ticket_type.pk)
                locked.set()
                answered.wait(60)

        def right(api: APIClient) -> int:
            locked.wait(60)
            return int(reserve_with(api, ticket_type, "SPRING").status_code)

        def one_more() -> int:
            locked.wait(60)
            try:
                waiting_for_a_lock(2)
                return int(reserve_with(third, ticket_type, "GUESS").status_code)
            finally:
                answered.set()

        at_once = together(lock, lambda: right(first), lambda: right(second), one_more)
        assert at_once == [None, 201, 201, 429]
        guesses = [reserve_with(api_of(user_make()), ticket_type, f"GUESS{n}").status_code for n in range(3)]
        assert guesses == [409, 409, 429], "the right codes are not counted"

    def test_a_known_code_is_not_counted_as_a_guess(
        self, api: APIClient, ticket_type: TicketType, settings: Any
    ) -> None:
        settings.RATE_LIMITS = True
        voucher_make(ticket_type.event, ended_at=timezone.now())

        assert {reserve_with(api, ticket_type, "SPRING").status_code for _ in range(12)} == {409}


class TestCounting:
    @pytest.fixture
    def voucher(self, ticket_type: TicketType) -> Voucher:
        return voucher_make(ticket_type.event, most_uses=3)

    def test_a_release_gives_the_uses_back(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher
    ) -> None:
        made = reserve_with(api, ticket_type, "SPRING", 3)
        assert used(voucher) == 3
        api.delete(made["Location"])

        assert used(voucher) == 0

    def test_a_change_counts_and_stops_at_the_limit(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher
    ) -> None:
        made = reserve_with(api, ticket_type, "SPRING")
        more = [api.patch(made["Location"], {"amount": n}, format="json") for n in (3, 4, 2)]

        assert [answer.status_code for answer in more] == [200, 409, 200]
        assert more[1].json()["code"] == "code_used_up"
        assert used(voucher) == 2

    def test_more_with_a_code_that_has_ended_is_refused(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher
    ) -> None:
        made = reserve_with(api, ticket_type, "SPRING", 2)
        Voucher.objects.update(ended_at=timezone.now())

        assert api.patch(made["Location"], {"amount": 3}, format="json").json()["code"] == "code_ended"
        assert api.patch(made["Location"], {"amount": 1}, format="json").status_code == 200

    @pytest.mark.parametrize(
        "change",
        [{"price_value": 5}, {"price_rule": "less"}, {"all_types": False, "price_value": 10}],
        ids=["another value", "another rule", "other types"],
    )
    def test_a_hold_does_not_grow_at_a_price_that_its_code_no_longer_gives(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher, change: dict[str, Any]
    ) -> None:
        made = reserve_with(api, ticket_type, "SPRING", 2)
        Voucher.objects.update(**change)

        assert api.patch(made["Location"], {"amount": 3}, format="json").json()["code"] == "code_changed"
        fewer = api.patch(made["Location"], {"amount": 1}, format="json").json()
        assert (fewer["amount"], fewer["unit_price"]) == (1, "13.50")

    def test_a_claim_that_needs_due_holds_releases_them(
        self,
        api: APIClient,
        buyer: User,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        voucher: Voucher,
    ) -> None:
        reserve_with(api, ticket_type, "SPRING", 3)
        end(buyer)

        assert reserve_with(api_of(user_make()), ticket_type, "SPRING", 2).status_code == 201
        assert used(voucher) == 2

    def test_a_sweep_gives_the_uses_of_several_codes_back(
        self,
        api: APIClient,
        buyer: User,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        voucher: Voucher,
    ) -> None:
        other, second = user_make(), voucher_make(ticket_type.event, "SECOND")
        reserve_with(api, ticket_type, "SPRING", 3)
        reserve_with(api_of(other), ticket_type, "SECOND", 2)
        end(buyer, other)

        assert services.due_holds_sweep() == 2
        assert (used(voucher), used(second)) == (0, 0)

    def test_a_return_gives_uses_back_and_late_money_needs_them(
        self,
        api: APIClient,
        buyer: User,
        user_make: Callable[..., User],
        ticket_type: TicketType,
        voucher: Voucher,
    ) -> None:
        pk = reserve_with(api, ticket_type, "SPRING", 3).json()["id"]
        end(buyer)
        services.due_holds_sweep()
        assert reserve_with(api_of(user_make()), ticket_type, "SPRING").status_code == 201

        with db.transaction():
            [expired], now = operations.order_lock(order_id=pk)
            assert operations.order_validate_late(reservations=[expired], now=now) is False
        assert used(voucher) == 1
        Voucher.objects.update(most_uses=4)
        with db.transaction():
            [expired], now = operations.order_lock(order_id=pk)
            assert operations.order_validate_late(reservations=[expired], now=now) is True
        assert used(voucher) == 4
        with db.transaction():
            [paid], now = operations.order_lock(order_id=pk)
            operations.reservations_return(reservations=[paid], now=now)
        assert used(voucher) == 1

    def test_a_deleted_reservation_gives_its_uses_back(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher
    ) -> None:
        reserve_with(api, ticket_type, "SPRING", 3)
        Reservation.objects.all().delete()

        assert used(voucher) == 0

    def test_the_database_refuses_a_limit_below_the_uses(
        self, api: APIClient, ticket_type: TicketType, voucher: Voucher
    ) -> None:
        reserve_with(api, ticket_type, "SPRING", 3)

        with pytest.raises(IntegrityError, match="voucher_used_within_limit"):
            Voucher.objects.update(most_uses=2)


def test_a_claim_with_a_code_is_one_statement_besides_authentication(
    api: APIClient, ticket_type: TicketType, django_assert_num_queries: Any
) -> None:
    voucher_make(ticket_type.event)
    with django_assert_num_queries(2):
        assert reserve_with(api, ticket_type, "SPRING").status_code == 201


def test_a_claim_without_a_code_asks_nothing_about_codes(
    api: APIClient, ticket_type: TicketType, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(2) as asked:
        reserve(api, ticket_type)

    assert "voucher" not in asked.captured_queries[1]["sql"]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "spring"},
        {"text": "two words"},
        {"text": ""},
        {"price_value": 0},
        {"price_value": 101},
        {"price_rule": "unchanged", "price_value": 0},
        {"price_rule": "less", "price_value": -1},
        {"price_rule": "other"},
        {"most_uses": 0},
        {"valid_from": timezone.now() + SOON, "valid_until": timezone.now()},
    ],
)
def test_the_database_refuses_an_invalid_voucher(ticket_type: TicketType, fields: dict[str, Any]) -> None:
    voucher_make(ticket_type.event)

    with pytest.raises(IntegrityError):
        voucher_make(ticket_type.event, **{"text": "OTHER", **fields})
