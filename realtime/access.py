"""Who may watch what."""

import re
from collections.abc import Mapping
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.cookie import parse_cookie

from overlord.accounts import selectors
from overlord.accounts.models import User
from realtime import streams
from realtime.close_codes import CloseCode
from realtime.origin import same_origin

_KEY = re.compile(r"[!-~]{1,128}")  # of a session or a token; PostgreSQL takes no NUL
_user_of_session = database_sync_to_async(selectors.user_of_session)
_user_of_token = database_sync_to_async(selectors.user_of_token)


class RefusedError(Exception):
    """The socket is to be closed with this code."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code)
        self.code = code


async def admit(scope: Mapping[str, Any], *, kind: str, stream_id: int | None) -> str:
    """Will name the stream that a new socket watches; raises RefusedError.

    A browser always sends its Origin, so only a client with a valid token may leave it out. A public stream
    asks no browser who it is, and the database nothing.
    """
    headers = dict(scope["headers"])
    without_origin = b"origin" not in headers
    if not (b"authorization" in headers if without_origin else same_origin(headers)):
        raise RefusedError(CloseCode.NOT_ALLOWED)
    if not streams.known(kind):
        raise RefusedError(CloseCode.NO_SUCH_STREAM)
    access = streams.get(kind).access
    if access == "public" and not without_origin:
        return streams.name(kind, stream_id)
    user = await _user(headers)
    if user is None:
        raise RefusedError(CloseCode.NOT_LOGGED_IN)
    if access == "staff" and not user.is_staff:
        raise RefusedError(CloseCode.NOT_ALLOWED)
    return streams.name(kind, user.pk if access == "owner" else stream_id)


async def _user(headers: Mapping[bytes, bytes]) -> User | None:
    """An Authorization header counts alone, valid or not; without one the session's cookie does."""
    if b"authorization" in headers:
        word, _, key = headers[b"authorization"].decode("latin1").partition(" ")
        return await _user_of_token(key=key) if word.lower() == "token" and _KEY.fullmatch(key) else None
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin1"))
    key = cookies.get(settings.SESSION_COOKIE_NAME, "")
    return await _user_of_session(session_key=key) if _KEY.fullmatch(key) else None
