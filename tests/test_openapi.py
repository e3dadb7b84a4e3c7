"""The OpenAPI schema is valid, gives no warning, and agrees with the answers of the API."""

import re
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from rest_framework.test import APIClient

from checkout.permissions import Permission
from checkout.services import payment_process
from overlord.accounts.models import User
from tests.clients import api_of, permit
from tests.openapi import check_answer, is_allowed
from tickets.models import TicketType

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    # In tests a warning of the generator is an error.
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    validate_schema(made)
    return made


def test_every_answer_is_as_described(
    schema: dict[str, Any],
    api: APIClient,
    ticket_type: TicketType,
    ticket_type_make: Callable[..., TicketType],
) -> None:
    body = {"ticket_type": ticket_type.pk, "amount": 2}
    reserved = api.post("/event/reservations/", body, format="json")
    payment = api.post("/payment/payments/", {"reservation_id": reserved.json()["id"]}, format="json")
    one, other = reserved.json()["id"], payment.json()["id"]
    changed = api.patch(f"/event/reservations/{one}/", {"amount": 3}, format="json")
    pay = api.post(f"/payment/payments/{other}/pay/", {"token": "ok"}, format="json")
    batch = "/event/reservations/batch/"
    type_of_another_event = ticket_type_make()
    order = {"items": [{"ticket_type": type_of_another_event.pk, "amount": 1}]}

    for path, method, answer in (
        ("/event/reservations/", "post", reserved),
        ("/event/reservations/{reservation_id}/", "patch", changed),
        (batch, "post", api.post(batch, order, format="json")),
        (batch, "post", api.post(batch, order, format="json")),
        ("/payment/payments/", "post", payment),
        ("/payment/payments/{payment_id}/pay/", "post", pay),
        ("/event/events/", "get", api.get("/event/events/")),
        ("/event/events/{event_id}/", "get", api.get(f"/event/events/{ticket_type.event_id}/")),
        ("/event/tickets/{ticket_type}/", "get", api.get(f"/event/tickets/{ticket_type.pk}/")),
        ("/event/reservations/", "get", api.get("/event/reservations/")),
        ("/event/reservations/{reservation_id}/", "get", api.get(f"/event/reservations/{one}/")),
        ("/payment/payments/", "get", api.get("/payment/payments/")),
        ("/payment/payments/{payment_id}/", "get", api.get(f"/payment/payments/{other}/")),
        ("/event/reservations/", "post", api.post("/event/reservations/", body, format="json")),
        ("/event/events/{event_id}/", "get", api.get("/event/events/999999/")),
    ):
        check_answer(schema, path, method, answer)


def test_a_refund_is_as_described(
    schema: dict[str, Any], api: APIClient, ticket_type: TicketType, user_make: Callable[..., User]
) -> None:
    staff = api_of(permit(user_make(), Permission.REFUND))
    body = {"ticket_type": ticket_type.pk, "amount": 2}
    reserved = api.post("/event/reservations/", body, format="json").json()["id"]
    payment = api.post("/payment/payments/", {"reservation_id": reserved}, format="json").json()["id"]
    one = f"/payment/payments/{payment}/"
    priced = api.post(f"{one}pay/", {"token": "ok", "price": "1.00"}, format="json")
    api.post(f"{one}pay/", {"token": "ok", "price": "30.00"}, format="json")
    payment_process(payment_id=payment)
    refund = staff.post(f"{one}refund/", {"amount": "1.00"}, format="json")

    assert [priced.status_code, refund.status_code] == [409, 202]
    path = "/payment/payments/{payment_id}/"
    check_answer(schema, f"{path}pay/", "post", priced)
    check_answer(schema, f"{path}refund/", "post", refund)
    check_answer(schema, path, "get", staff.get(one))
    check_answer(schema, path, "get", api.get(one))


def test_the_api_takes_what_the_schema_allows_and_refuses_the_rest(
    schema: dict[str, Any], api: APIClient, ticket_type: TicketType
) -> None:
    """An empty text and a missing field: a code may be empty, a token may not."""
    reservations, payments = "/event/reservations/", "/payment/payments/"
    one, pay = f"{reservations}{{reservation_id}}/", f"{payments}{{payment_id}}/pay/"
    wish = {"ticket_type": ticket_type.pk, "amount": 1, "code": ""}
    held = api.post(reservations, wish, format="json").json()["id"]
    order = {"reservation_id": held, "email": ""}
    payment = api.post(payments, order, format="json").json()["id"]
    real = {"reservation_id": held, "payment_id": payment}

    for path, method, body, allowed in (
        (payments, "post", order, True),
        (one, "patch", {"amount": 2}, True),
        (one, "patch", {}, False),
        (reservations, "post", {**wish, "code": "a\0"}, False),
        (pay, "post", {"token": "", "email": ""}, False),
        (pay, "post", {"token": "ok", "email": "", "name": ""}, True),
    ):
        answer = getattr(api, method)(path.format(**real), body, format="json")
        assert is_allowed(schema, path, method, body) is allowed, (path, body)
        assert (answer.status_code < 300) is allowed, answer.content
    assert is_allowed(schema, reservations, "post", wish)


@pytest.mark.parametrize(
    ("key", "allowed"), [("k", True), (f"{'k' * 63} ~"[-64:], True), ("k" * 65, False), ("\xe9", False)]
)
def test_a_key_is_as_described(
    schema: dict[str, Any], api: APIClient, ticket_type: TicketType, key: str, allowed: bool
) -> None:
    path = "/event/reservations/"
    [described] = schema["paths"][path]["post"]["parameters"]
    body = {"ticket_type": ticket_type.pk, "amount": 1}
    answer = api.post(path, body, format="json", headers={"Idempotency-Key": key})

    assert jsonschema.Draft202012Validator(described["schema"]).is_valid(key) is allowed
    assert answer.status_code == (201 if allowed else 400)


def test_a_field_the_schema_does_not_know_is_noticed(schema: dict[str, Any], ticket_type: TicketType) -> None:
    """Check, as the control of the test above, that an undocumented field fails: every shape is closed."""
    shape = schema["components"]["schemas"]["TicketType"]
    shown = APIClient().get(f"/event/tickets/{ticket_type.pk}/").json()

    assert set(shown) == set(shape["properties"])


def test_the_documentation_takes_nothing_from_elsewhere() -> None:
    page = APIClient().get("/api/docs/").content.decode()

    taken = re.findall(r"""(?:src|href)="([^"]*)""", page)
    assert len(taken) >= 4
    assert all(address.startswith(("/static/", "/api/docs/?")) for address in taken)
    assert "<script>" not in page
    script = APIClient().get(taken[-1].replace("&amp;", "&"))
    assert script.headers["Content-Type"].startswith("application/javascript")
    assert APIClient().get("/api/schema/").status_code == 200
