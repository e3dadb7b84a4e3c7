"""Read and write the JSON of the API and of streams, by orjson. Datetimes are ISO 8601 in UTC, with a `Z`."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

CLOCK_MEMBERS = frozenset({"server_time", "expires_in"})  # these members change with the clock alone
OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def dumps(data: Any) -> bytes:
    """Return plain data (dicts, lists, texts, numbers, datetimes) as JSON in UTF-8."""
    return orjson.dumps(data, default=str, option=OPTIONS)


def fingerprint(data: Any) -> str:
    """Return a hash of plain data without CLOCK_MEMBERS: equal states have equal fingerprints at any time."""
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
    """Chooses the renderer that the client prefers, or the first one if the client accepts none of them.

    So a browser's form, which accepts only HTML, gets a redirect or the reason of a refusal, and never a 406.
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
    """`application/json`. NaN, Infinity and broken UTF-8 are refused, as RFC 8259 demands."""

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
