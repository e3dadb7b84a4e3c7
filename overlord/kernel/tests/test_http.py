"""Errors, paths and JSON as a client gets them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions as drf
from rest_framework.test import APIClient

from overlord import health
from overlord.accounts.models import User
from overlord.kernel import errors, problems, redis_client, rendering, request_body
from overlord.kernel.origin import is_same_origin
from overlord.shop import error_pages
from overlord.wsgi import application
from realtime import sockets
from tests import refusals
from tickets.models import TicketType


def answer(error: Exception) -> Any:
    response = problems.problem_response(error, {})
    assert response is not None
    return response


class TestProblems:
    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (errors.Invalid(), 400, "invalid"),
            (errors.Forbidden(), 403, "permission_denied"),
            (errors.NotFound(), 404, "not_found"),
            (errors.Conflict(), 409, "conflict"),
            (errors.Gone(), 410, "gone"),
            (errors.Outdated(), 412, "outdated"),
            (errors.Mismatch(), 422, "idempotency_key_reused"),
            (errors.Busy(), 503, "busy"),
            (drf.NotAuthenticated(), 401, "not_authenticated"),
            (drf.ParseError(), 400, "parse_error"),
            (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
            (Http404(), 404, "not_found"),
        ],
    )
    def test_each_category_has_its_status(self, error: Exception, status: int, code: str) -> None:
        response = answer(error)

        assert (response.status_code, response.data["status"], response.data["code"]) == (
            status,
            status,
            code,
        )
        assert response.content_type == "application/problem+json"
        assert set(response.data) >= {"type", "title", "status", "detail", "code"}

    @pytest.mark.parametrize(
        "error", [OperationalError("canceling statement due to lock timeout"), InterfaceError("x")]
    )
    def test_the_answer_without_a_database_says_when_to_try_again(self, error: Exception) -> None:
        response = answer(error)

        assert (response.status_code, response["Retry-After"]) == (503, "1")
        assert response.data["retry_after"] == 1
        assert "lock" not in response.data["detail"]

    def test_an_unforeseen_error_is_a_500_without_its_cause(self) -> None:
        assert problems.problem_response(ValueError("secret"), {}) is None
        response = error_pages.server_error(RequestFactory().get("/"))
        assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
        assert b"secret" not in response.content

    def test_every_category_is_in_the_table(self) -> None:
        assert set(problems.STATUSES) == set(errors.DomainError.__subclasses__())


def _no_database() -> None:
    raise OperationalError("it is away")


@pytest.mark.django_db
class TestPaths:
    def test_an_unknown_path_is_a_problem(self) -> None:
        response = Client().get("/nothing/here")
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")

    @pytest.mark.parametrize(
        "path", ["/", "/event/events", "/api/asyncapi.yaml", "/robots.txt", "/translations/de.json"]
    )
    def test_paths_are_served_with_and_without_a_slash(self, path: str) -> None:
        for form in (path, path.rstrip("/") + "/"):
            assert APIClient().get(form).status_code == 200

    @pytest.mark.parametrize("name", ["attendees.csv", "attendees.xlsx", "codes.csv"])
    def test_files_of_the_box_office_are_served_in_both_forms(
        self, name: str, ticket_type: TicketType, user_make: Callable[..., User]
    ) -> None:
        client = Client()
        client.force_login(user_make(is_staff=True, is_superuser=True))
        for form in (name, f"{name}/"):
            answer = client.get(f"/office/events/{ticket_type.event_id}/{form}")
            assert (answer.status_code, answer.getvalue() != b"") == (200, True)

    def test_an_unknown_name_with_a_dot_is_not_found_in_both_forms(self) -> None:
        assert [Client().get(path).status_code for path in ("/no.thing", "/no.thing/")] == [404, 404]

    @pytest.mark.parametrize("path", ["/event/events", "/livez", "/readyz", "/readyz/self", "/api/docs"])
    @pytest.mark.parametrize("method", ["PUT", "POST", "TRACE"])
    def test_a_wrong_method_is_405_with_the_allowed_ones(self, path: str, method: str) -> None:
        answer = Client(enforce_csrf_checks=True).generic(method, path)
        assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")
        assert answer["Allow"].startswith("GET, HEAD")

    def test_the_documentation_refuses_options(self) -> None:
        answer = Client().options("/api/docs/")
        assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")

    def test_livez_answers_while_the_process_lives(self) -> None:
        assert Client().get("/livez").json() == {"status": "ok"}

    def test_readyz_names_the_missing_parts(self) -> None:
        response = Client().get("/readyz")
        assert (response.status_code, response.json()["missing"]) == (503, ["worker"])

    @pytest.mark.parametrize(
        ("said", "missing"),
        [
            ((), ["worker"]),
            ((0,), ["worker", "sockets"]),
            ((0, 0), ["worker", "sockets"]),
            ((0, 1), ["worker"]),
        ],
    )
    def test_sockets_are_missing_when_no_live_process_has_room(
        self, said: tuple[int, ...], missing: list[str]
    ) -> None:
        for number, has_room in enumerate(said):
            redis_client.connection().set(f"{sockets.ROOM}hub{number}", has_room)
        assert Client().get("/readyz").json()["missing"] == missing

    def test_a_redis_that_takes_no_writes_is_missing(self) -> None:
        with refusals.redis_full():
            assert Client().get("/readyz").json()["missing"] == ["redis"]

    def test_a_database_that_takes_no_writes_is_missing_and_pages_are_shown(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL transaction_read_only = on")
        assert "database" in Client().get("/readyz").json()["missing"]
        assert Client().get("/readyz/self").json()["missing"] == []

    def test_one_process_is_ready_even_if_the_whole_is_not(self) -> None:
        assert Client().get("/readyz/self").json() == {"status": "ok", "missing": []}

    def test_a_process_without_its_database_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(health.connection, "cursor", _no_database)
        response = Client().get("/readyz/self/")
        assert (response.status_code, response.json()["missing"]) == (503, ["database"])


@pytest.mark.django_db
@pytest.mark.parametrize("key", [r'"abcdefgh\000"', r'"abcdefgh\377"', "short", "x" * 5000, ""])
@pytest.mark.parametrize(("path", "status"), [("/me/", 302), ("/login/", 200), ("/event/reservations/", 401)])
def test_a_cookie_that_names_no_session_is_ignored(path: str, status: int, key: str) -> None:
    answer = Client(headers={"cookie": f"sessionid={key}"}).get(path)
    assert (answer.status_code, "sessionid" in answer.cookies) == (status, False)


FORMS = {
    "application/x-www-form-urlencoded": b"username=a%40b%ff&a=-",
    "multipart/form-data; boundary=x": (
        b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\na-b%\xff\r\n--x--\r\n'
    ),
    "application/json": b"{}",
}


def _sent(
    content_type: str, body: bytes, *, to: str = "/api-auth/login/?q=%ff-a"
) -> tuple[int, dict[str, Any]]:
    """Send a body as a server does, also through the layers before Django; return the status and the problem."""
    environ = RequestFactory().generic("POST", to, body).environ
    environ["CONTENT_TYPE"] = content_type
    statuses: list[str] = []
    answer = b"".join(application(environ, lambda status, _headers, _=None: statuses.append(status)))
    return int(statuses[0].split()[0]), json.loads(answer)


@pytest.mark.django_db
class TestContentTypes:
    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("charset", ["punycode", "idna", "hex", "rot13", "undefined", "utf-16", "utf-7"])
    def test_an_unsupported_charset_is_refused(self, form: str, charset: str) -> None:
        status, problem = _sent(f"{form}; charset={charset}", FORMS[form])
        assert (status, problem["code"]) == (415, "unsupported_media_type")

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize(
        "charset", ["utf-8", '"UTF8"', "us-ascii", "ISO-8859-1", "windows-1252", "x-none", ""]
    )
    def test_supported_charsets_are_read(self, form: str, charset: str) -> None:
        status, problem = _sent(f"{form}; charset={charset}", FORMS[form])
        assert (status, problem["code"]) == (400, "invalid")
        assert "password" in problem["errors"]

    def test_a_long_content_type_is_refused_before_it_is_read(self) -> None:
        longest = "application/json; a=".ljust(request_body.LONGEST_CONTENT_TYPE, "x")
        assert _sent(longest, b"{}")[0] == 400
        assert _sent(longest, b"{}", to="/nowhere/")[0] == 404
        # It would take many minutes to read the last one.
        for kind in (longest + "x", 'application/json; a="' + '\\";' * 300_000):
            status, problem = _sent(kind, b"{}", to="/nowhere/")
            assert (status, problem["code"]) == (415, "unsupported_media_type")

    @pytest.mark.parametrize("parameter", ["charset*=nope''%41", "a*=hex''%41", "a*=nope''%41"])
    def test_a_parameter_that_cannot_be_decoded_is_no_server_error(self, parameter: str) -> None:
        status, problem = _sent(f"application/json; {parameter}", b"{}")
        assert (status, problem["status"]) in [(400, 400), (415, 415)]


class TestJson:
    def test_a_fingerprint_leaves_out_values_that_change_with_the_clock(self) -> None:
        early = {"server_time": 1, "tickets": [{"id": 1, "expires_in": 5}]}
        late = {"server_time": 2, "tickets": [{"id": 1, "expires_in": 4}]}
        other = {"server_time": 1, "tickets": [{"id": 2, "expires_in": 5}]}

        assert rendering.fingerprint(early) == rendering.fingerprint(late)
        assert rendering.fingerprint(early) != rendering.fingerprint(other)


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "same"),
    [
        ("http://a.org", "http", "a.org", True),
        ("http://A.org:80", "http", "a.org", True),
        ("https://a.org", "https", "a.org:443", True),
        ("https://a.org", "http", "a.org", False),
        ("http://a.org:8080", "http", "a.org", False),
        ("http://b.org", "http", "a.org", False),
        ("http://a.org:99999", "http", "a.org", False),
        ("null", "http", "a.org", False),
        ("http://a.org/path", "http", "a.org", False),
        ("http://user@a.org", "http", "a.org", False),
        ("", "http", "a.org", False),
        ("http://[::1]:8080", "http", "[::1]:8080", True),
    ],
)
def test_an_origin_is_the_same_with_scheme_host_and_port_alone(
    origin: str, scheme: str, host: str, same: bool
) -> None:
    assert is_same_origin(origin, scheme=scheme, host=host) is same
