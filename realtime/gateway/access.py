"""Decide who may watch which stream: when a socket connects, and again while it is open (`revocation.py`).

Runs on Daphne's event loop; PostgreSQL is asked in a pool thread. A browser needs no query for a public stream, or
for a stream that a link opens.

What must stay true: a page of another site gets only public streams, and the cookies of its visitor are ignored.
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

_KEY = re.compile(r"[!-~]{1,128}")  # ASCII: in a query, a NUL character would be an error of PostgreSQL
_ORIGIN = re.compile(r"https?://[^/?#@\s]+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """The session or the token by which a socket's user was recognised.

    `key` is the session's key, or the hash of the token's key. `permission` is the permission that a stream for
    staff needs; None for all other streams.
    """

    by: Literal["session", "token"]
    key: str
    user_id: int
    permission: str | None = None

    @cached_property
    def session_hash(self) -> str | None:
        """Return the hash by which PostgreSQL's notifications name this session; None for a token."""
        return hashlib.sha256(self.key.encode()).hexdigest() if self.by == "session" else None


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The stream that a socket may watch, and the credential that allows this, or None if it needs none."""

    stream: str
    credential: Credential | None = None


class RefusedError(Exception):
    """The socket may not watch the stream: it has to be closed with `code`."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code)
        self.code = code


async def admit(
    scope: Mapping[str, Any], *, kind: str, stream_id: StreamId | None, link: str | None = None
) -> Admission:
    """Return the stream that a new socket may watch, with the credential that allows this.

    `stream_id` and `link` come from the address. For a kind that a link opens, the stream's id is read from the
    link. A browser always sends the header Origin, so only a client with a valid token may leave it out. Raise
    RefusedError.
    """
    headers = dict(scope["headers"])
    without_origin = b"origin" not in headers
    if not (b"authorization" in headers if without_origin else _origin_may_watch(headers, kind)):
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


def is_of_this_site(headers: dict[bytes, bytes]) -> bool:
    """Return whether the Origin header names the site to which the request goes, and we serve this site.

    A site is `scheme://host[:port]`. Caddy gives the scheme in the header X-Forwarded-Proto.
    """
    origin, host = (headers.get(name, b"").decode("latin1") for name in (b"origin", b"host"))
    scheme = "https" if headers.get(b"x-forwarded-proto") == b"https" else "http"
    return is_from_a_page(headers) and is_same_origin(origin, scheme=scheme, host=host)


def is_from_a_page(headers: dict[bytes, bytes]) -> bool:
    """Return whether the Origin header names any site at all, and the request goes to a host that we serve."""
    origin, host = (headers.get(name, b"").decode("latin1") for name in (b"origin", b"host"))
    domain, _ = split_domain_port(host)  # "" when `host` is not a valid host
    served = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    return served and _ORIGIN.fullmatch(origin) is not None


def _origin_may_watch(headers: dict[bytes, bytes], kind: str) -> bool:
    """Return whether a page of this origin may watch this kind: pages of other sites may watch only public ones."""
    if is_of_this_site(headers):
        return True
    return streams.known(kind) and streams.get(kind).access == Access.PUBLIC and is_from_a_page(headers)


async def ended(credentials: Collection[Credential]) -> dict[Credential, CloseCode]:
    """Return those credentials that have ended, each with the code to close its sockets.

    The number of queries is small, and the same for one credential as for thousands.
    """
    return await _ended(set(credentials)) if credentials else {}


async def _credential(headers: Mapping[bytes, bytes], *, permission: str | None) -> Credential:
    """Return the credential of the token in the Authorization header if there is one, else of the session cookie.

    As in the API, an Authorization header of another scheme is ignored: it may have a password for a front server.
    Without the header Origin, only a token counts. Raise RefusedError if the credential is not valid, or if its
    user may not watch a stream that needs `permission`.
    """
    token = ApiToken.hash_in(headers.get(b"authorization", b""))
    if token is None and b"origin" not in headers:
        raise RefusedError(CloseCode.NOT_LOGGED_IN)
    by: Literal["session", "token"] = "session" if token is None else "token"
    key = _session(headers) if token is None else token
    user = (await _users_of(by, {key})).get(key) if _KEY.fullmatch(key) else None
    if user is None:
        raise RefusedError(CloseCode.NOT_LOGGED_IN)
    if permission is not None and not await _permitted(user_ids=[user.pk], permission=permission):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    if permission is not None and second_factor.is_asked(permission) and not await _with_factor(by, {key}):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    return Credential(by=by, key=key, user_id=user.pk, permission=permission)


def _session(headers: Mapping[bytes, bytes]) -> str:
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin1"))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


def _find_users(by: Literal["session", "token"], keys: Collection[str]) -> dict[str, User]:
    """Return the users of those keys that are valid, by key."""
    if by == "token":
        return selectors.users_of_tokens(key_hashes=keys)
    return selectors.users_of_sessions(session_keys=keys)


def _find_ended(credentials: Collection[Credential]) -> dict[Credential, CloseCode]:
    users = {
        by: _find_users(by, {each.key for each in credentials if each.by == by})
        for by in {each.by for each in credentials}
    }
    permitted = {
        permission: selectors.permitted(
            user_ids=[each.user_id for each in credentials if each.permission == permission],
            permission=permission,
        )
        for permission in {each.permission for each in credentials}
        if permission is not None
    }
    found = {}
    for each in credentials:
        user = users[each.by].get(each.key)
        if user is None or user.pk != each.user_id:
            found[each] = CloseCode.NOT_LOGGED_IN
        elif each.permission is not None and user.pk not in permitted[each.permission]:
            found[each] = CloseCode.NOT_ALLOWED
    need_factor = {
        each for each in credentials if each.permission and second_factor.is_asked(each.permission)
    }
    for by in {each.by for each in need_factor}:
        with_factor = _find_with_factor(by, {each.key for each in need_factor if each.by == by})
        lacking = {each for each in need_factor if each.by == by and each.key not in with_factor}
        found = dict.fromkeys(lacking, CloseCode.NOT_ALLOWED) | found
    return found


def _find_with_factor(by: Literal["session", "token"], keys: Collection[str]) -> set[str]:
    """Return the keys of those sessions or tokens in which the second factor was shown."""
    return second_factor.shown_among(by=by, keys=keys, now=clock.now())


_users_of = database_sync_to_async(_find_users)
_with_factor = database_sync_to_async(_find_with_factor)
_permitted = database_sync_to_async(selectors.permitted)
_ended = database_sync_to_async(_find_ended)
