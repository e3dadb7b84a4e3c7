"""Refunds and incidents in the admin."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from checkout.models import Incident, Payment, Refund
from checkout.tests.paying import audit, heal, pay, work
from overlord.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def staff(user_make: Callable[..., User]) -> Client:
    client = Client()
    client.force_login(user_make(is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def paid(api: APIClient, payment: Payment) -> Payment:
    pay(api, payment)
    return work(payment)


def test_every_list_and_row_is_shown(staff: Client, paid: Payment) -> None:
    Incident.objects.create(payment=paid, cause="late_money", created=timezone.now())
    for page in (
        "payment",
        "refund",
        "incident",
        "unmatchedcharge",
        f"payment/{paid.pk}/change",
        f"payment/{paid.pk}/refund",
    ):
        assert staff.get(f"/admin/checkout/{page}/").status_code == 200
    assert staff.post(f"/admin/checkout/payment/{paid.pk}/change/", {"amount": 1}).status_code == 403


@pytest.mark.parametrize("model", [*admin.site._registry], ids=lambda model: model.__name__)
def test_no_address_of_a_list_or_of_a_new_form_is_a_server_error(staff: Client, model: type[Model]) -> None:
    """Try addresses of lists with a NUL, which the database cannot compare, and one of a new event with a date."""
    place = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    for field in model._meta.concrete_fields:
        for value in ("%00", "x", "-1", "9223372036854775808", "0001-01-01"):
            for address in (f"{place}?{field.name}={value}", f"{place}add/?{field.name}={value}"):
                answer = staff.get(address)
                assert answer.status_code in (200, 302, 400, 403), address
                assert answer.status_code == 400 or "%00" not in address


def send(staff: Client, url: str, **written: str) -> Any:
    """Open the form of a refund, fill it in, and send it."""
    return staff.post(url, {**opened(staff, url), **written})


def opened(staff: Client, url: str) -> dict[str, str]:
    [version] = re.findall(r'name="version" value="(\d+)"', staff.get(url).content.decode())
    return {"version": version}


def test_a_form_that_is_older_than_another_refund_refunds_nothing(staff: Client, paid: Payment) -> None:
    url = f"/admin/checkout/payment/{paid.pk}/refund/"
    old = opened(staff, url)
    assert send(staff, url, amount="10.00").status_code == 302
    heal(rounds=1)

    for form in (old, {}, {"version": "0"}):
        refused = staff.post(url, {**form, "amount": ""})  # all that is left
        assert refused.status_code == 200
    assert "has changed since you last saw it" in staff.post(url, old).content.decode()
    assert Refund.objects.count() == 1
    shown = staff.post(url, {**old, "amount": "5.00"}).content.decode()
    assert "<td>20.00 EUR</td>" in shown
    [version] = re.findall(r'name="version" value="(\d+)"', shown)
    assert staff.post(url, {"version": version, "amount": "5.00"}).status_code == 302
    assert [refund.amount_minor for refund in Refund.objects.order_by("pk")] == [1000, 500]


def test_a_part_and_then_the_rest_are_refunded(staff: Client, paid: Payment) -> None:
    url = f"/admin/checkout/payment/{paid.pk}/refund/"
    assert send(staff, url, amount="10.00").status_code == 302
    heal(rounds=1)
    form = staff.get(url).content.decode()
    assert [f"<td>{each} EUR</td>" in form for each in ("30.00", "10.00", "20.00")] == [True, True, True]
    assert "minor units" not in staff.get(f"/admin/checkout/payment/{paid.pk}/change/").content.decode()
    too_much = send(staff, url, amount="20.01")
    assert (
        too_much.status_code,
        "This is more than the amount that can still be refunded" in too_much.content.decode(),
    ) == (
        200,
        True,
    )
    assert send(staff, url, amount="ten").status_code == 200
    assert send(staff, url, return_tickets="on").status_code == 302
    heal(rounds=1)

    paid.refresh_from_db()
    assert (paid.status, paid.reservation.state) == ("REFUNDED", "released")
    audit()


def test_a_refused_refund_is_tried_again(staff: Client, paid: Payment) -> None:
    refused = Refund.objects.create(payment=paid, amount_minor=1000, status="FAILURE", created=timezone.now())
    staff.post("/admin/checkout/refund/", {"action": "try_again", "_selected_action": [refused.pk]})
    heal(rounds=1)

    refused.refresh_from_db()
    assert refused.status == "SUCCESS"


def test_an_incident_is_closed(staff: Client, paid: Payment) -> None:
    row = Incident.objects.create(payment=paid, cause="late_money", created=timezone.now())
    staff.post("/admin/checkout/incident/", {"action": "close", "_selected_action": [row.pk]})

    row.refresh_from_db()
    assert row.closed_at is not None


def test_staff_without_permission_see_nothing(paid: Payment) -> None:
    client = Client()
    client.force_login(paid.buyer)
    assert client.get(f"/admin/checkout/payment/{paid.pk}/refund/").status_code == 302
    assert not Refund.objects.exists()
