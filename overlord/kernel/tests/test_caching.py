"""No cache keeps a personal answer, and an answer that is the same for everybody is made once."""

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from rest_framework.test import APIClient

from overlord.accounts.models import User
from overlord.kernel import schema
from tickets.models import TicketType

# The routes whose answers are the same for everybody.
PUBLIC = {
    "/event/events/<id:event_id>/",
    "/event/tickets/<id:ticket_type>/",
    "/translations/en.js",
    "/translations/en-gb.js",
    "/translations/de.js",
    "/translations/en.json",
    "/translations/en-gb.json",
    "/translations/de.json",
    "/look/current.css",
    "/api/schema/",
    "/api/asyncapi.yaml",
}
# The pages whose answers are the same for everybody without a session.
OF_VISITORS = {"/", "/events/<id:event_id>/", "/robots.txt", "/sitemap.xml"}


def routes(patterns: list[Any] | None = None, prefix: str = "/") -> Iterator[str]:
    """Yield each route, except those with regular expressions."""
    for pattern in patterns or get_resolver().url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and "(" not in route:
            yield route


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["nobody", "buyer", "staff", "token"])
def test_only_answers_that_are_the_same_for_everybody_may_be_cached(
    who: str, buyer: User, api: APIClient, ticket_type: TicketType
) -> None:
    body = {"ticket_type": ticket_type.pk, "amount": 1}
    reservation = api.post("/event/reservations/", body, format="json").json()["id"]
    payment = api.post("/payment/payments/", {"reservation_id": reservation}, format="json").json()["id"]
    ids = {"event": ticket_type.event_id, "reservation": reservation, "payment": payment}
    filled = {"ticket_type": ticket_type.pk, **{f"{name}_id": pk for name, pk in ids.items()}}
    client: Client = Client(raise_request_exception=False)
    if who == "staff":
        User.objects.filter(pk=buyer.pk).update(is_staff=True, is_superuser=True)
    if who in ("buyer", "staff"):
        client.force_login(User.objects.get(pk=buyer.pk))
    if who == "token":
        client = api

    kept, found = set(), Counter[int]()
    for route in routes():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda named: str(filled.get(named[1], "x")), route)
        answer = client.get(path)
        found[answer.status_code] += 1
        b"".join(answer)  # a file is closed when it was sent
        if (
            "no-store" not in answer.headers["Cache-Control"]
            or "private" not in answer.headers["Cache-Control"]
        ):
            kept.add(route)

    assert found.total() > 60
    assert found[200] >= {"nobody": 10, "buyer": 16, "staff": 30, "token": 16}[who]
    assert kept == (PUBLIC | OF_VISITORS if who == "nobody" else PUBLIC)


class TestOpenApi:
    def test_the_schema_is_made_once_for_many_requests(self) -> None:
        schema._openapi.cache_clear()
        made = mock.Mock(side_effect=SchemaGenerator().get_schema)
        with mock.patch.object(SchemaGenerator, "get_schema", made), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: Client().get("/api/schema/"), range(16)))
        assert made.call_count == 1
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1

    def test_a_client_that_has_the_schema_is_not_sent_it_again(self) -> None:
        first = Client().get("/api/schema/")
        again = Client().get("/api/schema/", headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")

    def test_the_schema_comes_as_json_or_yaml(self) -> None:
        client = APIClient()
        assert client.get("/api/schema/?format=json").json()["openapi"] == "3.1.0"
        assert client.get("/api/schema/", HTTP_ACCEPT="application/json").json()["openapi"] == "3.1.0"
        assert client.get("/api/schema/").content.startswith(b"openapi: 3.1.0")
