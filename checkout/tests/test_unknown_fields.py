"""Requests that move money or take tickets refuse a field that does not exist. docs/errors.md lists them."""

from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from checkout.models import Payment
from checkout.tests.paying import PAYMENTS, states
from overlord.kernel.serializer_fields import MOST_NAMED
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import RESERVATIONS, reserve

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = f"{RESERVATIONS}batch/"
STRICT = {
    "BatchInput",
    "EntryInput",
    "ItemInput",
    "ResizeInput",
    "PayInput",
    "PaymentInput",
    "RefundInput",
    "ReservationInput",
}


def post(api: APIClient, path: str, body: dict[str, Any]) -> Any:
    return api.post(path, body, format="json")


def test_a_payment_with_a_misspelled_price_charges_nobody(api: APIClient, payment: Payment) -> None:
    answer = post(api, f"{PAYMENTS}{payment.pk}/pay/", {"token": "ok", "prise": "1.00"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert answer.json()["errors"] == {"prise": ["There is no such field."]}
    assert states(payment) == ["held"]
    wrong = post(api, f"{PAYMENTS}{payment.pk}/pay/", {"token": "ok", "price": "1.00"})
    assert wrong.json()["code"] == "order_changed", "control: the field that was meant"


def test_a_claim_with_a_misspelled_code_takes_no_tickets(api: APIClient, ticket_type: TicketType) -> None:
    item = {"ticket_type": ticket_type.pk, "amount": 1}
    for path, body, unknown in [
        (RESERVATIONS, {**item, "cod": "EARLY"}, "cod"),
        (BATCH, {"items": [item], "cod": "EARLY"}, "cod"),
        (BATCH, {"items": [item], "ordre": 1}, "ordre"),
    ]:
        answer = post(api, path, body)
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [unknown])
    answer = post(api, BATCH, {"items": [{**item, "amout": 2}]})
    assert (answer.status_code, list(answer.json()["errors"]["items"]["0"])) == (400, ["amout"])
    assert not Reservation.objects.exists()
    assert post(api, RESERVATIONS, {**item, "code": None}).status_code == 201, "control"


def test_a_hold_and_an_entry_are_not_changed_by_a_misspelled_field(
    api: APIClient, ticket_type: TicketType
) -> None:
    held = reserve(api, ticket_type, 1).json()
    answer = api.patch(f"{RESERVATIONS}{held['id']}/", {"amount": 2, "version": 1}, format="json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["version"])
    assert Reservation.objects.get().quantity == 1
    items = [{"ticket_type": ticket_type.pk, "amount": 1}]
    answer = post(api, f"/event/events/{ticket_type.event_id}/line/", {"items": items, "secnd": items})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["secnd"])


def test_a_payment_is_not_made_with_a_misspelled_contact(api: APIClient, ticket_type: TicketType) -> None:
    held = reserve(api, ticket_type, 1).json()
    answer = post(api, PAYMENTS, {"reservation_id": held["id"], "emial": "ada@example.org"})
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["emial"])
    assert not Payment.objects.exists()


def test_the_schema_says_which_requests_are_strict() -> None:
    parts = SchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    assert {name for name, part in parts.items() if part.get("additionalProperties") is False} == STRICT


def test_an_answer_names_some_of_many_unknown_fields(api: APIClient, ticket_type: TicketType) -> None:
    body = {f"x{number:03}": 1 for number in range(999)}
    answer = post(api, RESERVATIONS, {"ticket_type": ticket_type.pk, "amount": 1, **body})
    assert list(answer.json()["errors"]) == sorted(body)[:MOST_NAMED]


@pytest.mark.parametrize("name", ["items", "second"])
def test_a_list_that_is_too_long_is_refused_unread(
    name: str, api: APIClient, ticket_type: TicketType
) -> None:
    """Twenty elements are read, one more is not: the answer names no element."""
    item = {"ticket_type": ticket_type.pk, "amount": 1}
    line = f"/event/events/{ticket_type.event_id}/line/"
    too_long = {"items": [item], name: [{}] * 21}

    for path in [line, BATCH] if name == "items" else [line]:
        assert post(api, path, too_long).json()["errors"] == {
            name: ["Ensure this field has no more than 20 elements."]
        }
        read = post(api, path, {"items": [item], name: [{}] * 20}).json()["errors"][name]
        assert len(read) == 20, "control"
