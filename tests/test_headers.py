"""The headers of answers: each route and each kind of answer, with the settings of production.

Caddy's own answers are in tests/test_front_server.py.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import clear_url_caches, path

from overlord import urls
from overlord.accounts.models import User
from overlord.kernel.security_headers import SecurityHeadersMiddleware
from overlord.settings import base, prod
from overlord.shop import shared_answers
from tests.routes import address, routes
from tickets.models import TicketType

pytestmark = pytest.mark.django_db

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
# The routes whose answers are the same for everybody; and those whose answers are the same without a session.
ALIKE = {
    "/translations/en.js/",
    "/translations/en-gb.js/",
    "/translations/de.js/",
    "/translations/en.json/",
    "/translations/en-gb.json/",
    "/translations/de.json/",
    "/look/current.css/",
    "/api/schema/",
    "/api/asyncapi.yaml/",
}
PUBLIC = {"/"}
# The routes that pages of other sites may read, besides an event: the widget's texts.
FOR_OTHER_SITES = {"/translations/en.json/", "/translations/en-gb.json/", "/translations/de.json/"}
ACCEPTS = ["text/html", "application/json"]


@pytest.fixture(autouse=True)
def production(settings: Any) -> Iterator[None]:
    """Set what production sets differently."""
    for name in dir(prod):
        if name.isupper() and getattr(prod, name) != getattr(base, name, None):
            setattr(settings, name, getattr(prod, name))
    shared_answers._personal_cookies.cache_clear()
    yield
    shared_answers._personal_cookies.cache_clear()


def asked(user: User | None, accept: str, **headers: str) -> Client:
    client = Client(raise_request_exception=False, headers={"accept": accept, **headers})
    if user is not None:
        client.force_login(user)
    return client


def policy(answer: Any) -> dict[str, str]:
    """Return the Content-Security-Policy by directive."""
    parts = [each.strip().partition(" ") for each in answer["Content-Security-Policy"].split(";")]
    return {name: value for name, _, value in parts}


def problems_of(answer: Any) -> Iterator[str]:
    """Yield the problems of an answer's headers."""
    for name, value in ALWAYS.items():
        if answer.get(name) != value:
            yield f"{name}: {answer.get(name)}"
    if "microphone=()" not in answer.get("Permissions-Policy", ""):
        yield "no Permissions-Policy"
    if "Content-Security-Policy" not in answer:
        yield "no Content-Security-Policy"
        return
    rules = policy(answer)
    if (rules["default-src"], rules["frame-ancestors"]) != ("'none'", "'none'"):
        yield f"a wide policy: {rules}"
    if "unsafe" in rules.get("script-src", "") or "*" in rules.get("script-src", ""):
        yield f"scripts: {rules['script-src']}"
    if not answer.get("Cache-Control"):
        yield "no Cache-Control"


def cookie_problems(answer: Any) -> Iterator[str]:
    for name, cookie in answer.cookies.items():
        if name != "messages" and not name.startswith("__Host-"):
            yield f"cookie {name} without a prefix"
        if not cookie.value:  # the answer removes it
            continue
        if not (cookie["secure"] and cookie["httponly"] and cookie["path"] == "/" and not cookie["domain"]):
            yield f"cookie {name}: {cookie.OutputString()}"
        if cookie["samesite"] != "Lax":
            yield f"cookie {name} is sent with requests from other sites"


def is_private(answer: Any) -> bool:
    return "no-store" in answer["Cache-Control"] and "private" in answer["Cache-Control"]


ADMIN = ["/admin/", "/admin/login/", "/admin/tickets/event/", "/admin/accounts/user/add/", "/admin/nowhere/"]
PLACES = sorted({address(place).replace("//", "/") for place, _ in routes()} | {*ADMIN, "/nowhere/"})


def test_each_route_answers_everybody_with_all_headers(user_make: Callable[..., User], buyer: User) -> None:
    users = (None, buyer, user_make(is_staff=True, is_superuser=True))
    found: dict[str, list[str]] = {}
    for user, accept in itertools.product(users, ACCEPTS):
        client = asked(user, accept)
        session = client.cookies.output()
        for place, method in itertools.product(PLACES, ("get", "post")):
            answer = getattr(client, method)(place, secure=True)
            lacks = [*problems_of(answer), *cookie_problems(answer)]
            may_be_kept = place in ALIKE or (user is None and place in PUBLIC)
            if not (may_be_kept or is_private(answer)):
                lacks.append(f"a cache may keep it: {answer['Cache-Control']}")
            if "Access-Control-Allow-Origin" in answer and place not in FOR_OTHER_SITES:
                lacks.append("pages of other sites may read it")
            if lacks:
                found[f"{method} {place} {accept} {user} {answer.status_code}"] = lacks
            if client.cookies.output() != session and user is not None:
                client.force_login(user)
                session = client.cookies.output()
    assert not found, json.dumps(found, indent=1)


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, {"host": "a_b!c"}),
        (415, {"content-encoding": "gzip"}),
        (431, {"x-big": "x" * 40_000}),
        (404, {"accept-language": "xx"}),
    ],
)
def test_a_request_that_is_refused_early_gets_all_headers(
    accept: str, status: int, headers: dict[str, str]
) -> None:
    answer = asked(None, accept, **headers).get("/nowhere/", secure=True)
    assert answer.status_code == status
    assert [*problems_of(answer)] == []
    assert is_private(answer)


@pytest.mark.parametrize("accept", ACCEPTS)
def test_an_error_of_ours_and_a_foreign_form_have_all_headers(
    accept: str, buyer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("fail/", fail)])
        clear_url_caches()
        failed = asked(None, accept).get("/fail/", secure=True)
    clear_url_caches()
    strict = Client(enforce_csrf_checks=True, headers={"accept": accept})
    strict.force_login(buyer)
    refused = strict.post("/signup/", {}, secure=True)
    assert (failed.status_code, refused.status_code) == (500, 403)
    for answer in (failed, refused):
        assert [*problems_of(answer), *cookie_problems(answer)] == []
        assert is_private(answer)


def test_plain_http_is_redirected_to_https() -> None:
    answer = Client().get("/login/?next=/me/", headers={"host": "shop.example.org"})
    assert (answer.status_code, answer["Location"]) == (301, "https://shop.example.org/login/?next=/me/")
    assert answer["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("form", ["/", ""])
@pytest.mark.parametrize("name", ["livez", "readyz", "readyz/self", "metrics"])
def test_a_process_answers_those_who_ask_it_itself(settings: Any, name: str, form: str) -> None:
    """Ask as a health check and Prometheus do: without TLS, by an address that is not the shop's."""
    settings.ALLOWED_HOSTS = ["shop.example.org"]
    process = Client(headers={"host": "web:8000"})

    assert process.get(f"/{name}{form}").status_code in {200, 503}  # 503: no worker runs
    assert process.get(f"/events{form}").status_code == 400, "the control"


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_figures_stay_hidden_through_the_front_server_by_any_host(settings: Any, accept: str) -> None:
    settings.ALLOWED_HOSTS = ["shop.example.org"]
    for host in ("shop.example.org", "elsewhere.example.org", "a_b!c"):
        outside = asked(None, accept, host=host, **{"x-forwarded-for": "203.0.113.7"})
        assert outside.get("/metrics", secure=True).status_code in {400, 404}
        assert outside.get("/metrics").status_code in {400, 404}


def test_the_cookies_of_a_log_in_are_for_this_host_by_tls_only(buyer: User) -> None:
    answer = Client().post("/login/", {"username": buyer.username, "password": "correct horse"}, secure=True)
    assert answer.status_code == 302
    assert set(answer.cookies) >= {"__Host-sessionid"}
    assert [*problems_of(answer), *cookie_problems(answer)] == []
    assert is_private(answer)


def test_the_pages_name_no_other_site(ticket_type: TicketType) -> None:
    rules = policy(Client().get(f"/events/{ticket_type.event_id}/", secure=True))
    words = " ".join(rules.values()).split()
    assert [word for word in words if "://" in word or word == "https:"] == []


def test_control_without_the_middleware_an_answer_lacks_headers(settings: Any) -> None:
    """Remove the middleware, as a negative control."""
    name = f"{SecurityHeadersMiddleware.__module__}.{SecurityHeadersMiddleware.__name__}"
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != name]
    answer = Client().get("/livez/", secure=True)
    assert [*problems_of(answer)] == ["no Permissions-Policy", "no Content-Security-Policy"]
