"""JSON in and out of the API, by orjson: datetimes as ISO 8601 in UTC with a `Z`, microseconds kept."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

CLOCK_MEMBERS = frozenset({"server_time", "expires_in"})
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def dumps(data: Any) -> bytes:
    """Encode plain data (dicts, lists, text, numbers, datetimes) as UTF-8 JSON."""
    return orjson.dumps(data, default=str, option=OPTIONS)


def fingerprint(data: Any) -> str:
    """Hash plain data without CLOCK_MEMBERS, so that equal states have equal fingerprints."""
    return hashlib.blake2b(dumps(_timeless(data)), digest_size=16).hexdigest()


def _timeless(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _timeless(value) for name, value in data.items() if name not in CLOCK_MEMBERS}
    return [_timeless(value) for value in data] if isinstance(data, list) else data


class JSONRenderer(BaseRenderer):
    """`application/json`, without indentation."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dumps(data)


class Negotiation(DefaultContentNegotiation):
    """Choose what the client prefers, or the first renderer if none is acceptable.

    So a form of a browser, which accepts only HTML, gets a redirection or the reason of a refusal, and no 406.
    """

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        offered = list(renderers)
        if len(offered) == 1:
            return offered[0], offered[0].media_type
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, offered, format_suffix)
        except NotAcceptable:
            return offered[0], offered[0].media_type
        return chosen


class JSONParser(BaseParser):
    """`application/json`. NaN, Infinity and broken UTF-8 are refused, as the standard says."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not JSON: {error}") from None
