"""Answers for all visitors without a session are made once, and nothing personal is ever shared."""

import gzip
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Barrier, Event
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.test import Client

from overlord.shop import shared_answers
from overlord.shop.shared_answers import SECONDS, SharedAnswers, shared
from tickets.models import TicketType

Given = tuple[str, dict[str, str], bytes]


class Maker:
    """An application whose answers all differ. Each answer says whether it may be shared."""

    def __init__(self, *, seconds: float = 60, cookie: str = "") -> None:
        self.seconds, self.cookie = seconds, cookie
        self.asked: list[dict[str, Any]] = []
        self.go_on = Event()
        self.go_on.set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.asked.append(environ)
        assert self.go_on.wait(30)
        environ[SECONDS] = self.seconds
        headers = [("Content-Type", "text/html"), *([("Set-Cookie", self.cookie)] if self.cookie else [])]
        start_response("200 OK", headers)
        return [b"answer %d " % len(self.asked) * 100]


def ask(application: Any, path: str = "/", method: str = "GET", query: str = "", **headers: str) -> Given:
    """Return status, headers and body."""
    said: list[Any] = []
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    body = b"".join(application(environ, lambda *args: said.extend(args)))
    return said[0], dict(said[1]), body


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that only the test moves."""
    now = [1_000.0]
    monkeypatch.setattr(shared_answers, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


class TestOnce:
    def test_all_visitors_get_the_same_bytes(self, maker: Maker) -> None:
        application = SharedAnswers(maker)
        assert len({ask(application)[2] for _ in range(20)}) == 1
        assert len(maker.asked) == 1
        assert len({ask(maker)[2] for _ in range(20)}) == 20  # control: the application itself

    def test_an_answer_is_no_older_than_it_may_be(self, clock: list[float]) -> None:
        maker = Maker(seconds=1)
        application = SharedAnswers(maker)
        first = ask(application)[2]
        clock[0] += 0.4
        assert ask(application)[2] == first
        clock[0] += 0.7
        assert ask(application)[2] != first

    def test_while_one_thread_makes_an_answer_the_others_get_the_earlier_one(
        self, clock: list[float]
    ) -> None:
        maker = Maker(seconds=1)
        application = SharedAnswers(maker)
        first = ask(application)[2]
        clock[0] += 0.7
        maker.go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(ask, application)
            while len(maker.asked) < 2:
                time.sleep(0.001)
            assert ask(application)[2] == first
            maker.go_on.set()
            assert making.result()[2] != first
        assert len(maker.asked) == 2

    def test_when_the_answer_is_too_old_all_wait_for_the_thread_that_makes_it(
        self, clock: list[float]
    ) -> None:
        maker = Maker(seconds=1)
        application = SharedAnswers(maker)
        ask(application)
        clock[0] += 5
        together = Barrier(8)

        def come() -> bytes:
            together.wait(30)
            return ask(application)[2]

        with ThreadPoolExecutor(8) as pool:
            given = [each.result() for each in [pool.submit(come) for _ in range(8)]]
        assert (len(set(given)), len(maker.asked)) == (1, 2)

    def test_a_thread_that_waits_too_long_makes_the_answer(
        self, clock: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared_answers, "PATIENCE", 0.01)
        maker = Maker(seconds=1)
        application = SharedAnswers(maker)
        ask(application)
        clock[0] += 5
        kept = next(iter(application._answers.values()))
        with kept.making:  # the thread that makes the answer hangs
            assert ask(application)[0] == "200 OK"
        assert not kept.making.locked()

    def test_the_number_of_answers_is_bounded(self, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shared_answers, "MOST", 10)
        application = SharedAnswers(maker)
        for number in range(50):
            ask(application, f"/{number}/")
        assert len(application._answers) == 10


class TestWhatIsSent:
    def test_a_client_that_has_the_answer_is_not_sent_it_again(self, maker: Maker) -> None:
        application = SharedAnswers(maker)
        tag = ask(application)[1]["ETag"]
        status, headers, body = ask(application, if_none_match=f'"other", {tag}')
        assert (status, headers["ETag"], body) == ("304 Not Modified", tag, b"")
        assert ask(application, if_none_match='W/"other"')[0] == "200 OK"

    def test_an_answer_is_compressed_once(self, maker: Maker) -> None:
        application = SharedAnswers(maker)
        _, headers, plain = ask(application)
        assert headers["Content-Length"] == str(len(plain))
        _, headers, zipped = ask(application, accept_encoding="gzip, br")
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Content-Length"] == str(len(zipped))
        assert gzip.decompress(zipped) == plain
        for accepted in ("gzip;q=0, identity", "br, gzip; q=0.0", "identity;q=1, *;q=0"):
            _, headers, body = ask(application, accept_encoding=accepted)
            assert ("Content-Encoding" in headers, body) == (False, plain)
        assert ask(application, accept_encoding="gzip;q=0.5")[2] == zipped, "control"

    def test_body_and_tag_are_of_one_answer_when_another_is_kept_meanwhile(self, maker: Maker) -> None:
        class Interrupted(dict[str, str]):
            """The environment of a request during which another thread keeps a newer answer."""

            def get(self, name: str, default: Any = None) -> Any:
                if name.startswith("HTTP_"):
                    answer.keep([], b"newer " * 200, made=0.0, seconds=60)
                return super().get(name, default)

        application = SharedAnswers(maker)
        ask(application)
        [answer] = application._answers.values()
        assert answer.kept is not None
        before, said = answer.kept, list[Any]()

        environ: Any = Interrupted(REQUEST_METHOD="GET", HTTP_ACCEPT_ENCODING="gzip")
        [body] = answer.give(environ, lambda *args: said.extend(args))
        assert (gzip.decompress(body), dict(said[1])["ETag"]) == (before.plain, before.tag)

    def test_head_gets_the_headers(self, maker: Maker) -> None:
        application = SharedAnswers(maker)
        plain = ask(application)
        head = ask(application, method="HEAD")
        assert head == (plain[0], plain[1], b"")


class TestWhatIsNotShared:
    @pytest.mark.parametrize(
        "other",
        [
            {"path": "/other/"},
            {"method": "POST"},
            {"query": "a=b"},
            {"host": "elsewhere"},
            {"x_forwarded_proto": "https"},
            {"accept_language": "en-gb"},
            {"accept_language": "de"},
            {"authorization": "Token x"},
            {"cookie": f"{settings.SESSION_COOKIE_NAME}=x"},
            {"cookie": "a=b; messages=x"},
            {"cookie": f"{settings.LANGUAGE_COOKIE_NAME}=en-gb"},
            {"accept_language": "en", "cookie": f"{settings.LANGUAGE_COOKIE_NAME}=de"},
            {"content_encoding": "gzip"},
            {"big": "x" * 9_000},
            {"accept_language": "en" + ",en" * 400},
        ],
    )
    def test_another_question_gets_another_answer(self, maker: Maker, other: dict[str, str]) -> None:
        application = SharedAnswers(maker)
        first = ask(application)[2]
        assert ask(application, **other)[2] != first
        assert ask(application)[2] == first

    def test_an_answer_is_made_without_cookies(self, maker: Maker) -> None:
        """Forbid cookies, as a form's token is derived from the cookie `csrftoken` and belongs to one visitor."""
        application = SharedAnswers(maker)
        mine = [ask(application, cookie="csrftoken=mine")[2] for _ in range(2)]
        assert mine[0] != mine[1]
        others = ask(application)[2]
        assert ask(application, cookie="csrftoken=mine")[2] == others
        assert "HTTP_COOKIE" not in maker.asked[-1]

    def test_a_language_has_one_answer_however_it_was_asked_for(self, maker: Maker) -> None:
        application = SharedAnswers(maker)
        chosen = f"{settings.LANGUAGE_COOKIE_NAME}=de"
        first = ask(application, accept_language="en", cookie=chosen)[2]
        assert "HTTP_COOKIE" not in maker.asked[-1]
        assert maker.asked[-1]["HTTP_ACCEPT_LANGUAGE"] == "de"
        assert ask(application, accept_language="de-AT, en;q=0.5")[2] == first
        assert ask(application, cookie=f"{chosen}; csrftoken=mine")[2] == first
        assert len(maker.asked) == 1

    def test_an_answer_that_sets_a_cookie_is_not_shared(self) -> None:
        application = SharedAnswers(Maker(cookie="csrftoken=secret"))
        assert ask(application)[2] != ask(application)[2]

    @pytest.mark.parametrize(
        ("status", "query", "session"), [(404, "", ""), (200, "a=b", ""), (200, "", "some")]
    )
    def test_a_view_shares_only_answers_for_all(self, status: int, query: str, session: str) -> None:
        request = HttpRequest()
        request.META = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query}
        if session:
            request.META["HTTP_COOKIE"] = f"{settings.SESSION_COOKIE_NAME}={session}"
        shared(seconds=1)(lambda _request: HttpResponse(status=status))(request)
        assert SECONDS not in request.META


@pytest.mark.django_db(transaction=True)
class TestPages:
    @pytest.mark.parametrize("path", ["/", "/events/{event}/", "/translations/en.js"])
    def test_visitors_share_an_answer_that_no_user_gets(
        self, clock: list[float], path: str, ticket_type: TicketType
    ) -> None:
        application = SharedAnswers(get_wsgi_application())
        path = path.format(event=ticket_type.event_id)
        first = ask(application, path)
        assert first[0] == "200 OK"
        assert ask(application, path) == first
        for named in (first[1]["ETag"], "*"):
            assert ask(application, path, if_none_match=named)[0].startswith("304")
        assert "csrf" not in first[2].decode()

    @pytest.mark.parametrize(
        "path", ["/event/events/{event}/", "/event/tickets/{ticket_type}/", "/api/asyncapi.yaml"]
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_an_unchanged_answer_that_is_not_shared_is_not_sent_again(
        self, path: str, method: str, ticket_type: TicketType
    ) -> None:
        application = SharedAnswers(get_wsgi_application())
        path = path.format(event=ticket_type.event_id, ticket_type=ticket_type.pk)
        tag = ask(application, path)[1]["ETag"]
        for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            status, headers, body = ask(application, path, method, if_none_match=named)
            assert (status, headers["ETag"], body) == ("304 Not Modified", tag, b"")
        for named in ('"other"', "", tag[1:-1]):
            assert ask(application, path, method, if_none_match=named)[0] == "200 OK"
        assert ask(application, "/nowhere/", method, if_none_match="*")[0] == "404 Not Found"

    def test_a_user_gets_the_own_page(self, clock: list[float], ticket_type: TicketType) -> None:
        application = SharedAnswers(get_wsgi_application())
        shown = ask(application)[2].decode()
        browser = Client()
        browser.force_login(get_user_model().objects.create_user("ada"))
        cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
        own = ask(application, cookie=cookie)
        assert "My tickets" in own[2].decode()
        assert "no-store" in own[1]["Cache-Control"]
        assert "My tickets" not in shown
        assert ask(application)[2].decode() == shown
