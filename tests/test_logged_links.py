"""The log of a failed request contains no link that gives its reader a right."""

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from tickets.admission import selectors as admission

pytestmark = pytest.mark.django_db(transaction=True)


def away(*_: Any) -> None:
    raise OperationalError("PostgreSQL is away")


def failed(path: str) -> None:
    with connection.execute_wrapper(away):
        assert Client().get(path, headers={"accept": "text/html"}).status_code == 503


@pytest.mark.parametrize("page", ["tickets_shown", "tickets_pdf", "event_calendar"])
def test_a_link_to_tickets_is_hidden(page: str, caplog: Any) -> None:
    signed = admission.order_link(order_id=1)
    failed(reverse(page, args=[signed]))
    assert "Service Unavailable: /t/<signed>" in caplog.text
    assert signed not in caplog.text


def test_a_link_to_a_new_password_is_hidden(caplog: Any) -> None:
    failed(reverse("password_reset_confirm", args=["Mg", "abc123-0123456789abcdef"]))
    assert "Service Unavailable: /password-reset/<uidb64>/<token>/" in caplog.text


def test_the_number_of_an_event_stays(caplog: Any) -> None:
    failed("/events/7/")
    assert "Service Unavailable: /events/7/" in caplog.text
