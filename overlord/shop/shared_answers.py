"""Shared answers: an answer that is the same for all visitors without a session is made once, not for each request.

The decorator `shared` marks a view with such answers. `SharedAnswers` wraps Django: it keeps an answer for
`seconds`, and sends it to all visitors who ask for the same, without Django and without PostgreSQL. It runs in the
threads of a web process; each process keeps its own answers.

What must stay true: a kept answer depends only on the address, the host, the scheme and the language. So a request
with the cookie of a session or of messages never gets a kept answer. And an answer is kept only if it was made
without any cookie and sets no cookie. A page with a CSRF token sets a cookie, so it is not kept.
"""

import gzip
import hashlib
import re
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

SECONDS = "overlord.shared_seconds"  # the key in a request's WSGI environment: how long to keep its answer
MOST = 1_000  # answers that a process keeps
LARGEST_REQUEST = 8_000  # bytes of headers; larger requests go to Django, which can refuse them
LONGEST_LANGUAGES = 500  # characters of Accept-Language
PATIENCE = 1.0  # seconds to wait for the thread that makes the answer
SMALLEST = 500  # bytes; a smaller body is not compressed
BODY_HEADERS = {"content-type", "content-length"}
_WITHOUT_GZIP = re.compile(r"gzip *; *q=0(\.0*)? *(,|$)")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
View = Callable[..., HttpResponseBase]
Key = tuple[str, str, str, str]


def shared(*, seconds: float, cache_control: str | None = "public, no-cache") -> Callable[[View], View]:
    """Return a decorator: for `seconds`, the view's answer is sent to all visitors without a session.

    Requests with a query string are left out. `cache_control` is the header Cache-Control of the answer, or None if
    the view sets it.
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
    """A kept answer. It never changes, so that no visitor gets the body of one answer with the ETag of another."""

    headers: list[tuple[str, str]]
    plain: bytes
    zipped: bytes
    tag: str
    made: float
    seconds: float

    def give(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        named = environ.get("HTTP_IF_NONE_MATCH", "")
        if self.tag in named or named.strip() == "*":
            start_response("304 Not Modified", [each for each in self.headers if each[0] != "Content-Type"])
            return []
        body, headers = self.plain, [*self.headers]
        if self.zipped:
            headers.append(("Vary", "Accept-Encoding"))
            if _takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
                body = self.zipped
                headers.append(("Content-Encoding", "gzip"))
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


@dataclass
class _Answer:
    """The latest answer for a key, and the lock of the thread that makes the next answer.

    `kept` is None until the first answer is made.
    """

    kept: _Kept | None = None
    making: Lock = field(default_factory=Lock)

    def age(self) -> float:
        """Return the answer's age as a share of the time for which it is kept; 1.0 if there is no answer."""
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
        """Send the current answer. Another thread may replace it meanwhile, but cannot change it."""
        assert self.kept is not None  # noqa: S101
        return self.kept.give(environ, start_response)


class SharedAnswers:
    """A WSGI application that sends the answers that it keeps, and asks another application for all others."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._answers: dict[Key, _Answer] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        key = _key(environ)
        if key is None:
            return self._application(environ, start_response)
        answer = self._answers.get(key)
        if answer is None:
            # Before the first answer, it is unknown whether this view is shared. A view that is not shared needs
            # the request's method and cookies.
            if environ["REQUEST_METHOD"] == "HEAD" or _other_cookies(environ):
                return self._application(environ, start_response)
            return self._make(key, _Answer(), environ, start_response)
        if answer.age() < 0.5:
            return answer.give(environ, start_response)
        return self._renew(key, answer, environ, start_response)

    def _renew(
        self, key: Key, answer: _Answer, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Make the answer again, because half of its time is over. Meanwhile other threads send the old answer.

        When all of its time is over, the others wait for the new answer, at most PATIENCE seconds. After that, they
        make an answer themselves.
        """
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
        """Ask the application without the visitor's cookies; send its answer, and keep it if it may be shared."""
        asked = {**environ, "REQUEST_METHOD": "GET", "HTTP_ACCEPT_LANGUAGE": key[-1]}
        asked.pop("HTTP_COOKIE", None)
        asked.pop("HTTP_IF_NONE_MATCH", None)
        began, started = time.monotonic(), list[Any]()
        chunks = self._application(asked, lambda *args: started.extend(args))
        body = b"".join(chunks)
        if close := getattr(chunks, "close", None):
            close()
        status, headers = started[0], started[1]
        sets_cookie = any(name.lower() == "set-cookie" for name, _ in headers)
        if SECONDS in asked and status == "200 OK" and not sets_cookie:
            answer.keep(headers, body, made=began, seconds=asked[SECONDS])
            self._remember(key, answer)
            return answer.give(environ, start_response)
        self._answers.pop(key, None)
        if status == "200 OK" and _has(environ, headers):
            not_modified = [each for each in headers if each[0].lower() not in BODY_HEADERS]
            start_response("304 Not Modified", not_modified)
            return []
        start_response(*started)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _remember(self, key: Key, answer: _Answer) -> None:
        self._answers[key] = answer
        while len(self._answers) > MOST:
            self._answers.pop(next(iter(self._answers)), None)


def _takes_gzip(accepted: str) -> bool:
    """Return whether an Accept-Encoding names gzip. With the weight 0, a client says that it cannot read it."""
    return "gzip" in accepted and _WITHOUT_GZIP.search(accepted) is None


def _has(environ: Environ, headers: list[tuple[str, str]]) -> bool:
    """Return whether the client has this answer already: its If-None-Match contains the answer's ETag."""
    named = {each.strip().removeprefix("W/") for each in environ.get("HTTP_IF_NONE_MATCH", "").split(",")}
    tags = {value.removeprefix("W/") for name, value in headers if name.lower() == "etag"}
    return bool(tags and named & {*tags, "*"})


def _key(environ: Environ) -> Key | None:
    """Return the address, host, scheme and language of a request; None if it must not get a shared answer."""
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
    """Return the names of the cookies on which an answer may depend: of the session, and of Django's messages."""
    return settings.SESSION_COOKIE_NAME, "messages"


def _chosen_language(environ: Environ) -> str:
    """Return the language that a cookie names; "" without such a cookie."""
    cookies, name = environ.get("HTTP_COOKIE", ""), settings.LANGUAGE_COOKIE_NAME
    return parse_cookie(cookies).get(name, "")[:20] if name in cookies else ""


def _other_cookies(environ: Environ) -> bool:
    """Return whether a request has other cookies than the one with the language."""
    return bool(set(parse_cookie(environ.get("HTTP_COOKIE", ""))) - {settings.LANGUAGE_COOKIE_NAME})


@lru_cache(maxsize=1_000)
def _language(accepted: str, chosen: str) -> str:
    cookies = {settings.LANGUAGE_COOKIE_NAME: chosen} if chosen else {}
    request = SimpleNamespace(COOKIES=cookies, META={"HTTP_ACCEPT_LANGUAGE": accepted})
    return get_language_from_request(request)  # type: ignore[arg-type]
