"""Who may watch which stream. Checked when a socket connects, and again while it stays (`revocation`).

Runs on Daphne's event loop; the database is asked in a pool thread. A browser on a public stream, or on one that a
link opens, needs no query.

What must stay true: a page of another site gets only public streams, and its visitor's cookies are ignored.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.cookie import parse_cookie
from django.http.request import split_domain_port, validate_host

from overlord.accounts import second_factor, selectors
from overlord.accounts.models import ApiToken, User
from overlord.kernel import clock
from overlord.kernel.origin import is_same_origin
from realtime import streams
from realtime.gateway.daphne_socket import CloseCode
from realtime.streams import Access, StreamId

_KEY = re.compile(r"[!-~]{1,128}")  # of a session, or the hash of a token's key; PostgreSQL takes no NUL
_ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)  # anything else is not an origin


@dataclass(frozen=True, kw_only=True)
class Credential:
    """How a socket's user was recognised. For a stream of staff, also the permission that it needs."""

    by: Literal["session", "token"]
    key: str
    user_id: int
    permission: str | None = None

    @cached_property
    def session_hash(self) -> str | None:
        """Return what PostgreSQL calls this session in a notification; None for a token."""
        return hashlib.sha256(self.key.encode()).hexdigest() if self.by == "session" else None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The stream that a socket may watch, and by which credential; None where none was asked for."""

    stream: str
    credential: Credential | None = None


class RefusedError(Exception):
    """Raised when the socket has to be closed with this code."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code)
        self.code = code


async def admit(
    scope: Mapping[str, Any], *, kind: str, stream_id: StreamId | None, link: str | None = None
) -> Admission:
    """Return the stream that a new socket may watch; raise RefusedError. A `link` opens the stream that it names.

    A browser always sends its Origin, so only a client with a valid token may leave it out.
    """
    headers = dict(scope["headers"])
    without_origin = b"origin" not in headers
    if not (b"authorization" in headers if without_origin else _may_come(headers, kind)):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    if not streams.known(kind):
        raise RefusedError(CloseCode.NO_SUCH_STREAM)
    definition = streams.get(kind)
    access = definition.access
    if definition.link_read is not None:
        stream_id = definition.link_read(link or "")
        if stream_id is None:
            raise RefusedError(CloseCode.NO_SUCH_STREAM)
    if access in (Access.PUBLIC, Access.LINK) and not without_origin:
        return Admission(stream=streams.name(kind, stream_id))
    credential = await _credential(headers, permission=definition.permission)
    name = streams.name(kind, credential.user_id if access == Access.OWNER else stream_id)
    return Admission(stream=name, credential=credential)


def same_origin(headers: dict[bytes, bytes]) -> bool:
    """Return whether the Origin header names this site, which must be one that we serve.

    The site is `scheme://host[:port]` of the request; Caddy gives the scheme in X-Forwarded-Proto.
    """
    origin, host = (headers.get(name, b"").decode("latin1") for name in (b"origin", b"host"))
    scheme = "https" if headers.get(b"x-forwarded-proto") == b"https" else "http"
    return of_some_page(headers) and is_same_origin(origin, scheme=scheme, host=host)


def of_some_page(headers: dict[bytes, bytes]) -> bool:
    """Return whether the Origin header names some site, and the request asks a host that we serve."""
    origin, host = (headers.get(name, b"").decode("latin1") for name in (b"origin", b"host"))
    domain, _ = split_domain_port(host)  # empty when it is not a host
    served = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    return served and _ORIGIN.fullmatch(origin) is not None


def _may_come(headers: dict[bytes, bytes], kind: str) -> bool:
    """Return whether a page of this origin may ask for this kind of stream: another site's for public ones only."""
    if same_origin(headers):
        return True
    return streams.known(kind) and streams.get(kind).access == Access.PUBLIC and of_some_page(headers)


async def lapsed(credentials: Collection[Credential]) -> dict[Credential, CloseCode]:
    """Return the credentials that have ended, with the code to close their sockets.

    It costs the same few queries for one as for thousands.
    """
    return await _lapsed(set(credentials)) if credentials else {}


async def _credential(headers: Mapping[bytes, bytes], *, permission: str | None) -> Credential:
    """Return the credential of a token if there is an Authorization header, else that of the session cookie."""
    by: Literal["session", "token"] = "token" if b"authorization" in headers else "session"
    key = _token(headers) if by == "token" else _session(headers)
    user = (await _users(by, {key})).get(key) if _KEY.fullmatch(key) else None
    if user is None:
        raise RefusedError(CloseCode.NOT_LOGGED_IN)
    if permission is not None and not await _permitted(user_ids=[user.pk], permission=permission):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    if permission is not None and second_factor.is_asked(permission) and not await _shown(by, {key}):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    return Credential(by=by, key=key, user_id=user.pk, permission=permission)


def _token(headers: Mapping[bytes, bytes]) -> str:
    word, _, key = headers[b"authorization"].decode("latin1").partition(" ")
    return ApiToken.hash_of(key) if word.lower() == "token" else ""


def _session(headers: Mapping[bytes, bytes]) -> str:
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin1"))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


def _find(by: Literal["session", "token"], keys: Collection[str]) -> dict[str, User]:
    if by == "token":
        return selectors.users_of_tokens(key_hashes=keys)
    return selectors.users_of_sessions(session_keys=keys)


def _find_lapsed(credentials: Collection[Credential]) -> dict[Credential, CloseCode]:
    users = {
        by: _find(by, {known.key for known in credentials if known.by == by})
        for by in {known.by for known in credentials}
    }
    permitted = {
        asked: selectors.permitted(
            user_ids=[known.user_id for known in credentials if known.permission == asked], permission=asked
        )
        for asked in {known.permission for known in credentials}
        if asked is not None
    }
    found = {}
    for known in credentials:
        user = users[known.by].get(known.key)
        if user is None or user.pk != known.user_id:
            found[known] = CloseCode.NOT_LOGGED_IN
        elif known.permission is not None and user.pk not in permitted[known.permission]:
            found[known] = CloseCode.NOT_ALLOWED
    asked = {known for known in credentials if known.permission and second_factor.is_asked(known.permission)}
    for by in {known.by for known in asked}:
        shown = _find_shown(by, {known.key for known in asked if known.by == by})
        lacking = {known for known in asked if known.by == by and known.key not in shown}
        found = dict.fromkeys(lacking, CloseCode.NOT_ALLOWED) | found
    return found


def _find_shown(by: Literal["session", "token"], keys: Collection[str]) -> set[str]:
    return second_factor.shown_among(by=by, keys=keys, now=clock.now())


_users = database_sync_to_async(_find)
_shown = database_sync_to_async(_find_shown)
_permitted = database_sync_to_async(selectors.permitted)
_lapsed = database_sync_to_async(_find_lapsed)
