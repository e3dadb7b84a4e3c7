"""Answers that are the same for all visitors without a session are made once in a process, not once a request.

A view asks for this by `shared`. `SharedAnswers` wraps Django: it keeps the answer of such a view, and sends it to
everyone who asks for the same within `seconds`, without Django and without the database. It runs in the threads of
a web process; each process keeps its own answers.

What must stay true: an answer that is kept depends only on the address, the host, the scheme and the language. So
a request with a session cookie or messages is never answered from here, and an answer is kept only when it was made
without any cookie and sets none (a page with a CSRF token sets one).
"""

import gzip
import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from threading import Lock
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, parse_cookie
from django.utils.translation import get_language_from_request

SECONDS = "overlord.shared_seconds"  # in the environment of a request whose answer may be kept
MOST = 1_000  # answers in a process
LARGEST_REQUEST = 8_000  # bytes of headers; larger ones are left to Django, which refuses the largest
LONGEST_LANGUAGES = 500  # characters of Accept-Language
PATIENCE = 1.0  # seconds to wait for another thread that makes the answer
SMALLEST = 500  # bytes that are worth compressing
OF_A_BODY = {"content-type", "content-length"}

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
View = Callable[..., HttpResponseBase]
Key = tuple[str, str, str, str]


def shared(*, seconds: float, cache_control: str | None = "public, no-cache") -> Callable[[View], View]:
    """Send a view's answer to everybody without a session for so many seconds, if the address has no query.

    `cache_control` is that header of such an answer, or None if the view sets it.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            response = view(request, *args, **kwargs)
            if response.status_code == 200 and _key(request.META) is not None:
                request.META[SECONDS] = seconds
                if cache_control:
                    response["Cache-Control"] = cache_control
            return response

        return answered

    return decorate


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """An answer. It never changes, so that nobody gets the body of one answer with the ETag of another."""

    headers: list[tuple[str, str]]
    plain: bytes
    zipped: bytes
    tag: str
    made: float
    seconds: float

    def give(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        if self.tag in environ.get("HTTP_IF_NONE_MATCH", ""):
            start_response("304 Not Modified", [each for each in self.headers if each[0] != "Content-Type"])
            return []
        body, headers = self.plain, [*self.headers]
        if self.zipped:
            headers.append(("Vary", "Accept-Encoding"))
            if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
                body = self.zipped
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@dataclass
class _Answer:
    """The latest answer for one key, None until it is made, and the lock of the thread that makes the next one."""

    kept: _Kept | None = None
    making: Lock = field(default_factory=Lock)

    def age(self) -> float:
        """Return the answer's age as a share of the time for which it may be given; 1 when there is none."""
        kept = self.kept
        return (time.monotonic() - kept.made) / kept.seconds if kept else 1.0

    def keep(self, headers: list[tuple[str, str]], plain: bytes, *, made: float, seconds: float) -> None:
        tag = f'W/"{hashlib.sha256(plain).hexdigest()[:20]}"'
        own = [each for each in headers if each[0].lower() not in ("content-length", "etag")]
        self.kept = _Kept(
            headers=[*own, ("ETag", tag)],
            plain=plain,
            zipped=gzip.compress(plain, 6, mtime=0) if len(plain) >= SMALLEST else b"",
            tag=tag,
            made=made,
            seconds=seconds,
        )

    def give(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        """Give the present answer, whole, also when another thread replaces it meanwhile."""
        assert self.kept is not None  # noqa: S101
        return self.kept.give(environ, start_response)


class SharedAnswers:
    """A WSGI application that gives the answers that it keeps, and asks another application for all others."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._answers: dict[Key, _Answer] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        key = _key(environ)
        if key is None:
            return self._application(environ, start_response)
        answer = self._answers.get(key)
        if answer is None:
            if environ["REQUEST_METHOD"] == "HEAD" or _other_cookies(environ):
                return self._application(environ, start_response)
            return self._make(key, _Answer(), environ, start_response)
        if answer.age() < 0.5:
            return answer.give(environ, start_response)
        return self._renew(key, answer, environ, start_response)

    def _renew(
        self, key: Key, answer: _Answer, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Make the answer anew when half its time is over. One thread makes it; the others give the old one."""
        is_over = answer.age() >= 1
        held = answer.making.acquire(blocking=is_over, timeout=PATIENCE if is_over else -1)
        try:
            if answer.age() < (0.5 if held else 1):
                return answer.give(environ, start_response)
            return self._make(key, answer, environ, start_response)
        finally:
            if held:
                answer.making.release()

    def _make(
        self, key: Key, answer: _Answer, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Ask the application, without the visitor's cookies, and keep its answer if its view is `shared`."""
        asked = {**environ, "REQUEST_METHOD": "GET", "HTTP_ACCEPT_LANGUAGE": key[-1]}
        asked.pop("HTTP_COOKIE", None)
        asked.pop("HTTP_IF_NONE_MATCH", None)
        began, said = time.monotonic(), list[Any]()
        chunks = self._application(asked, lambda *args: said.extend(args))
        body = b"".join(chunks)
        if close := getattr(chunks, "close", None):
            close()
        status, headers = said[0], said[1]
        sets_cookie = any(name.lower() == "set-cookie" for name, _ in headers)
        if SECONDS in asked and status == "200 OK" and not sets_cookie:
            answer.keep(headers, body, made=began, seconds=asked[SECONDS])
            self._remember(key, answer)
            return answer.give(environ, start_response)
        self._answers.pop(key, None)
        if status == "200 OK" and _has(environ, headers):
            start_response("304 Not Modified", [each for each in headers if each[0].lower() not in OF_A_BODY])
            return []
        start_response(*said)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _remember(self, key: Key, answer: _Answer) -> None:
        self._answers[key] = answer
        while len(self._answers) > MOST:
            self._answers.pop(next(iter(self._answers)), None)


def _has(environ: Environ, headers: list[tuple[str, str]]) -> bool:
    """Return whether the client has this answer already, by the ETags that the client named."""
    named = {each.strip().removeprefix("W/") for each in environ.get("HTTP_IF_NONE_MATCH", "").split(",")}
    tags = {value.removeprefix("W/") for name, value in headers if name.lower() == "etag"}
    return bool(tags and named & {*tags, "*"})


def _key(environ: Environ) -> Key | None:
    """Return what a kept answer depends on; None when the answer to this request may not be shared."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or environ.get("QUERY_STRING"):
        return None
    if "HTTP_AUTHORIZATION" in environ or "HTTP_CONTENT_ENCODING" in environ:
        return None
    if (cookies := environ.get("HTTP_COOKIE")) and any(name in cookies for name in _personal_cookies()):
        return None
    if len(environ.get("HTTP_ACCEPT_LANGUAGE", "")) > LONGEST_LANGUAGES:
        return None
    if sum(len(value) for name, value in environ.items() if name.startswith("HTTP_")) > LARGEST_REQUEST:
        return None
    return (
        environ["PATH_INFO"],
        environ.get("HTTP_HOST", ""),
        environ.get("HTTP_X_FORWARDED_PROTO", ""),
        _language(environ.get("HTTP_ACCEPT_LANGUAGE", ""), _chosen_language(environ)),
    )


@lru_cache(maxsize=1)
def _personal_cookies() -> tuple[str, ...]:
    """Return the cookies that an answer may depend on: that of the session, and that of Django's messages."""
    return settings.SESSION_COOKIE_NAME, "messages"


def _chosen_language(environ: Environ) -> str:
    """Return the language that a cookie names; "" without such a cookie."""
    cookies, name = environ.get("HTTP_COOKIE", ""), settings.LANGUAGE_COOKIE_NAME
    return parse_cookie(cookies).get(name, "")[:20] if name in cookies else ""


def _other_cookies(environ: Environ) -> bool:
    """Return whether a request has cookies other than that of the language."""
    return bool(set(parse_cookie(environ.get("HTTP_COOKIE", ""))) - {settings.LANGUAGE_COOKIE_NAME})


@lru_cache(maxsize=1_000)
def _language(accepted: str, chosen: str) -> str:
    cookies = {settings.LANGUAGE_COOKIE_NAME: chosen} if chosen else {}
    request = SimpleNamespace(COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": accepted})
    return get_language_from_request(request)  # type: ignore[arg-type]
