"""Orders of several types on pages: chosen together, changed, paid at once, and shown together."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from checkout import services as checkout
from checkout.models import Payment
from overlord.accounts.models import User
from tickets import choices
from tickets.models import Inventory, Reservation, TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def types(ticket_type_make: Callable[..., TicketType]) -> list[TicketType]:
    """Return three types of one event, at 15, 10 and 0 euros."""
    adult = ticket_type_make()
    return [adult, *[ticket_type_make(event=adult.event, price_minor=price) for price in (1000, 0)]]


@pytest.fixture
def mine(buyer: User) -> Client:
    page = Client(headers={"accept": "text/html"})
    page.force_login(buyer)
    return page


@pytest.fixture
def visitor() -> Client:
    return Client(headers={"accept": "text/html", "sec-fetch-site": "same-origin"})


def choose(page: Client, types: list[TicketType], *amounts: Any, key: str = "") -> Any:
    fields = {f"amount_{each.pk}": amount for each, amount in zip(types, amounts, strict=False)}
    return page.post(f"/events/{types[0].event_id}/", {**fields, **({"key": key} if key else {})})


def text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def held() -> dict[int, int]:
    rows = Reservation.objects.filter(state__in=["held", "paying", "validated"])
    return dict(rows.values_list("ticket_type_id", "quantity"))


class TestChoosing:
    def test_a_visitor_reserves_three_types_and_pays_once(
        self, visitor: Client, types: list[TicketType]
    ) -> None:
        place = choose(visitor, types, 2, 1, 1)["Location"]
        shown = text(visitor.get(place))
        assert all(each.name in shown for each in types)
        assert "Pay €40.00" in shown
        guest = {"email": "ada@example.org", "name": "Ada"}
        assert visitor.post(f"{place}pay/", {"token": "ok", "price": "40.00", **guest}).status_code == 302
        payment = Payment.objects.get()
        checkout.payment_process(payment_id=payment.pk)
        assert set(Reservation.objects.values_list("state", flat=True)) == {"validated"}
        me = text(visitor.get("/me/"))
        assert me.count("€40.00") == 1
        assert f"Order {payment.reservation_id}" in me

    @pytest.mark.parametrize(
        "amounts", [("0", "0", "0"), ("", "", ""), (), ("x", "1", "0"), ("1", "-1", "0")]
    )
    def test_an_empty_or_malformed_choice_is_refused_and_the_rest_kept(
        self, amounts: tuple[str, ...], mine: Client, types: list[TicketType]
    ) -> None:
        answer = choose(mine, types, *amounts)
        assert answer.status_code == 400
        assert "number of tickets is not valid" in text(answer)
        if "1" in amounts:
            assert 'value="1" required' in answer.content.decode()
        assert held() == {}

    def test_a_refusal_names_the_type_and_keeps_all_choices(
        self, visitor: Client, types: list[TicketType]
    ) -> None:
        Inventory.objects.filter(pk=types[1].pk).update(capacity=1)
        answer = choose(visitor, types, 2, 3, 1)
        assert answer.status_code == 409
        shown = answer.content.decode()
        assert f"{types[1].name}: Only 1 ticket is left." in text(answer)
        for each, amount in zip(types, (2, 3, 1), strict=True):
            field = re.search(rf'name="amount_{each.pk}"[^>]*value="(\d+)"', shown)
            assert field
            assert field[1] == str(amount)
        assert f'data-refused-type="{types[1].pk}"' in shown
        assert held() == {}
        assert not User.objects.exists()

    def test_the_address_of_a_page_has_the_choice(self, visitor: Client, types: list[TicketType]) -> None:
        choice = choices.Choice(amounts={types[0].pk: 2, types[2].pk: 3})
        shown = visitor.get(f"/events/{types[0].event_id}/?{choice.as_query()}")
        assert "Your selection is kept." in text(shown)
        assert "€30.00" in text(shown)

    def test_pressed_twice_it_is_one_order(self, mine: Client, types: list[TicketType]) -> None:
        first = choose(mine, types, 1, 2, key="k")["Location"]
        again = choose(mine, types, 1, 2, key="k")["Location"]
        order = {mine.get(place).context["reservation"]["order"] for place in (first, again)}
        assert len(order) == 1
        assert held() == {types[0].pk: 1, types[1].pk: 2}

    def test_a_later_addition_is_paid_with_the_rest(self, mine: Client, types: list[TicketType]) -> None:
        choose(mine, types, 1)
        ends = Reservation.objects.get().expires_at
        place = choose(mine, types[1:], 2)["Location"]
        assert "Pay €35.00" in text(mine.get(place))
        assert set(Reservation.objects.values_list("expires_at", flat=True)) == {ends}

    def test_more_types_than_an_order_may_have_are_refused(
        self, mine: Client, types: list[TicketType], ticket_type_make: Callable[..., TicketType]
    ) -> None:
        many = [*types, *[ticket_type_make(event=types[0].event) for _ in range(18)]]
        answer = choose(mine, many, *[1] * 21)
        assert answer.status_code == 400
        assert "20 ticket types" in text(answer)
        assert held() == {}

    @pytest.mark.parametrize(
        "fields", [{"amount_0": "1"}, {f"amount_{2**63}": "1"}, {"amount_1": str(2**31)}, {"amount_x": "1"}]
    )
    def test_a_malformed_type_is_refused(
        self, fields: dict[str, str], mine: Client, types: list[TicketType]
    ) -> None:
        answer = mine.post(f"/events/{types[0].event_id}/", fields)
        assert answer.status_code == 400


class TestChanging:
    def test_an_amount_is_changed_without_a_change_of_the_end(
        self, mine: Client, types: list[TicketType]
    ) -> None:
        place = choose(mine, types, 1, 1)["Location"]
        ends = Reservation.objects.first().expires_at  # type: ignore[union-attr]
        line = Reservation.objects.get(ticket_type=types[1])
        mine.post(f"/checkout/{line.pk}/amount/", {"amount": 4})
        assert "Pay €55.00" in text(mine.get(place))
        line.refresh_from_db()
        assert line.expires_at == ends

    @pytest.mark.parametrize("amount", ["", "-1", "x", "2147483648", "99"])
    def test_an_impossible_change_changes_nothing_and_says_so(
        self, amount: str, mine: Client, types: list[TicketType]
    ) -> None:
        place = choose(mine, types, 2)["Location"]
        said = mine.post(f"{place}amount/", {"amount": amount}, follow=True)
        assert "Nothing was changed." in text(said)
        assert held() == {types[0].pk: 2}

    def test_an_amount_of_none_asks_whether_to_release(self, mine: Client, types: list[TicketType]) -> None:
        place = choose(mine, types, 2)["Location"]
        assert mine.post(f"{place}amount/", {"amount": "0"})["Location"] == f"{place}release/"

    def test_a_removed_line_leaves_the_rest(self, mine: Client, types: list[TicketType]) -> None:
        choose(mine, types, 1, 1)
        first, second = Reservation.objects.order_by("id")
        after = mine.post(f"/checkout/{first.pk}/release/")
        assert after["Location"] == f"/checkout/{second.pk}/"
        for place in (f"/checkout/{first.pk}/", f"/checkout/{second.pk}/"):
            shown = mine.get(place)
            assert 'data-stage="held"' in shown.content.decode(), "an order's page is about what is left"
            assert "Pay €10.00" in text(shown)
            assert types[0].name not in text(shown)
        assert mine.post(f"/checkout/{second.pk}/release/")["Location"] == "/me/"

    def test_the_whole_order_is_reserved_again(self, mine: Client, types: list[TicketType]) -> None:
        place = choose(mine, types, 1, 2)["Location"]
        Reservation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        shown = mine.get(place).content.decode()
        assert 'data-stage="expired"' in shown
        fields = dict(re.findall(r'name="(amount_\d+)" value="(\d+)"', shown))
        assert fields == {f"amount_{types[0].pk}": "1", f"amount_{types[1].pk}": "2"}
        again = mine.post(f"/events/{types[0].event_id}/", fields)["Location"]
        assert "Pay €35.00" in text(mine.get(again))

    def test_another_persons_line_is_not_found(
        self, mine: Client, visitor: Client, types: list[TicketType]
    ) -> None:
        place = choose(mine, types, 1)["Location"]
        choose(visitor, types, 1)
        assert visitor.post(f"{place}amount/", {"amount": 2}).status_code == 404
        assert visitor.get(place).status_code == 404

    def test_an_outdated_page_pays_nothing(self, mine: Client, types: list[TicketType]) -> None:
        place = choose(mine, types, 1, 1)["Location"]
        mine.post(f"{place}amount/", {"amount": 5})
        answer = mine.post(f"{place}pay/", {"token": "ok", "price": "25.00"})
        assert answer.status_code == 409
        assert set(Reservation.objects.values_list("state", flat=True)) == {"held"}
