"""One person has no more tickets of a type than the limit, even with several accounts and guests."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from checkout.tests.paying import PAYMENTS, audit, heal
from overlord.accounts.models import User
from overlord.kernel import db
from tests.clients import api_of
from tests.threads import together
from tickets.models import Reservation, TicketType
from tickets.tests.reserving import reserve

pytestmark = pytest.mark.django_db(transaction=True)


def guest() -> APIClient:
    token = APIClient().post("/register/guest/").json()["token"]
    return APIClient(headers={"Authorization": f"Token {token}"})


def pay(api: APIClient, ticket_type: TicketType, amount: int, email: str = "") -> Any:
    """Reserve, and pay with the e-mail address of a guest."""
    held = reserve(api, ticket_type, amount).json()["id"]
    payment = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]
    return api.post(f"{PAYMENTS}{payment}/pay/", {"token": "ok", "email": email}, format="json")


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("ADA@example.org", True),
        ("ada+2@example.org", True),
        ("ada+a+b@Example.org", True),
        ("a.da@example.org", False),
        ("ada@example.net", False),
        ("+ada@example.org", False),
    ],
)
def test_addresses_are_compared_as_one_person_writes_them(
    address: str, same: bool, ticket_type_make: Callable[..., TicketType]
) -> None:
    ticket_type = ticket_type_make(max_per_user=3)
    assert pay(guest(), ticket_type, 2, "ada@example.org").status_code == 202
    answer = pay(guest(), ticket_type, 2, address)
    assert answer.status_code == (409 if same else 202)
    if same:
        facts = {name: answer.json()[name] for name in ("code", "max_per_user", "ticket_type")}
        assert facts == {"code": "over_limit", "max_per_user": 3, "ticket_type": ticket_type.pk}


@pytest.mark.parametrize(
    ("email", "key"),
    [
        ("A.D.A+x@GoogleMail.com", "ada@gmail.com"),
        ("ada@gmail.com", "ada@gmail.com"),
        ("a.d.a@example.org", "a.d.a@example.org"),
        ("", None),
        ("ﬁnn+@example.org", "finn@example.org"),
    ],
)
def test_equal_addresses_have_one_key_of_a_person(email: str, key: str | None) -> None:
    assert db.rows("SELECT accounts_person_key(%s) AS key", [email]) == [{"key": key}]


def test_an_account_and_a_guest_are_one_person(
    ticket_type_make: Callable[..., TicketType], user_make: Callable[..., User]
) -> None:
    ticket_type = ticket_type_make(max_per_user=2)
    account = api_of(user_make(email="ada+shop@example.org"))
    assert pay(guest(), ticket_type, 1, "ada@example.org").status_code == 202
    assert pay(account, ticket_type, 2).status_code == 409
    assert Reservation.objects.get(buyer__is_guest=False).state == "held", "the hold stays"


def test_up_to_the_limit_nobody_is_refused(ticket_type_make: Callable[..., TicketType]) -> None:
    ticket_type = ticket_type_make(max_per_user=3)
    statuses = [pay(guest(), ticket_type, 1, "ada@example.org").status_code for _ in range(4)]
    assert statuses == [202, 202, 202, 409]


def test_other_types_and_what_has_failed_do_not_count(ticket_type_make: Callable[..., TicketType]) -> None:
    first, other = ticket_type_make(max_per_user=1), ticket_type_make(max_per_user=1)
    assert pay(guest(), first, 1, "ada@example.org").status_code == 202
    assert pay(guest(), other, 1, "ada@example.org").status_code == 202
    Reservation.objects.filter(ticket_type=first).update(state="held")
    assert pay(guest(), first, 1, "ada@example.org").status_code == 202


def test_a_limit_that_was_lowered_refuses_no_first_purchase(
    ticket_type_make: Callable[..., TicketType], api: APIClient
) -> None:
    ticket_type = ticket_type_make(max_per_user=3)
    held = reserve(api, ticket_type, 3).json()["id"]
    TicketType.objects.update(max_per_user=2)
    payment = api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]
    assert api.post(f"{PAYMENTS}{payment}/pay/", {"token": "ok"}, format="json").status_code == 202


def at_once(ticket_type: TicketType, people: int) -> int:
    """Let as many guests pay at the same moment with one address; count their tickets."""
    payments = []
    for _ in range(people):
        api = guest()
        held = reserve(api, ticket_type).json()["id"]
        payments.append((api, api.post(PAYMENTS, {"reservation_id": held}, format="json").json()["id"]))
    body = {"token": "ok", "email": "ada@example.org"}
    answers = together(
        *[
            lambda api=api, pk=pk: api.post(f"{PAYMENTS}{pk}/pay/", body, format="json").status_code
            for api, pk in payments
        ]
    )
    assert set(answers) <= {202, 409}
    return Reservation.objects.filter(state="paying").count()


def test_ten_payments_at_once_get_no_more_than_the_limit(
    ticket_type_make: Callable[..., TicketType],
) -> None:
    assert at_once(ticket_type_make(max_per_user=3), 10) == 3
    heal()
    audit()


def test_control_without_the_guard_they_get_more(ticket_type_make: Callable[..., TicketType]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tickets_reservation DISABLE TRIGGER reservation_person_limit")
    try:
        assert at_once(ticket_type_make(max_per_user=3), 10) == 10
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE tickets_reservation ENABLE TRIGGER reservation_person_limit")


def test_a_guest_without_an_address_cannot_pay_in_any_way(
    ticket_type: TicketType, user_make: Callable[..., User]
) -> None:
    api = guest()
    assert pay(api, ticket_type, 1).json()["code"] == "email_required"
    assert Reservation.objects.get().state == "held"
    nameless = api_of(user_make(email=""))
    assert pay(nameless, ticket_type, 1).status_code == 202, "an account that staff made may have none"
