"""The machine-readable contracts: the OpenAPI and AsyncAPI documents, and the parts that several APIs share.

A document is the same for all clients, and each process makes it once.
"""

import hashlib
from functools import lru_cache
from threading import Lock
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from overlord.kernel import idempotency, preconditions
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.problems import CONTENT_TYPE
from overlord.kernel.serializer_fields import StrictSerializer

_generating = Lock()


class Problem(serializers.Serializer[Any]):
    """The body of an error answer, in the format of RFC 9457 (problem details).

    Its `code` never changes. Facts about the error are further fields of the body.
    """

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()


class Schema(AutoSchema):
    """Describes in the schema that refusals are problems, and what the fields of a request must be."""

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> dict[str, Any]:
        mapped: dict[str, Any] = super()._map_basic_serializer(serializer, direction)
        return (
            {**mapped, "additionalProperties": False} if isinstance(serializer, StrictSerializer) else mapped
        )

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        """Describe a field. A text in a request must not be empty, unless the field says that it may."""
        mapped = super()._map_serializer_field(field, direction, bypass_extensions)
        if direction == "request" and isinstance(field, serializers.CharField) and not field.allow_blank:
            mapped.setdefault("minLength", 1)
        return mapped

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        """Describe the rules of a field. An empty text may match both of its shapes, so `oneOf` would refuse it."""
        super()._insert_field_validators(field, schema)
        if getattr(field, "allow_blank", False) and "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        problem = self.resolve_serializer(Problem, direction).ref
        refused = {
            "description": "The request was refused. docs/errors.md lists every code.",
            "content": {CONTENT_TYPE: {"schema": problem}},
        }
        return {**super()._get_response_bodies(direction), "default": refused}


def whole(*, least: int, most: int = LARGEST_ID) -> dict[str, Any]:
    """Return the schema of a parameter that `query_params.whole` reads."""
    return {"type": "integer", "minimum": least, "maximum": most}


idempotency_key = OpenApiParameter(
    idempotency.HEADER, {"type": "string", "pattern": idempotency.SHAPE}, OpenApiParameter.HEADER
)
if_match = OpenApiParameter(
    preconditions.HEADER,
    {"type": "string", "pattern": preconditions.SHAPE},
    OpenApiParameter.HEADER,
    description=(
        "The `version` that you read, in quotes. If the version has changed since then, the"
        " answer is 412 and nothing is changed."
    ),
)


class _Paginated:
    """The schema of the answers that `pagination.Pages` gives."""

    parameters = [
        OpenApiParameter("cursor", str, description="The cursor from `next` or `previous`."),
        OpenApiParameter(
            "page_size",
            whole(least=1),
            description="How many entries a page has. The default is 25, and the maximum is 100.",
        ),
    ]

    def __call__(self, shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
        """Return the schema of a page of `shape`."""
        return inline_serializer(
            f"{shape.__name__}Page",
            {
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
                "results": shape(many=True),
            },
        )


paginated = _Paginated()


@allow("GET")
def openapi(request: HttpRequest) -> HttpResponse:
    """Answer with the OpenAPI document: JSON if the request asks for it (`?format=json` or Accept), else YAML."""
    wanted = request.GET.get("format") or request.headers.get("Accept", "")
    with _generating:  # this takes a second. Requests that come meanwhile wait, and get the same document
        document, media_type = _openapi(as_json="json" in wanted)
    return _document(request, document, media_type)


@allow("GET")
def asyncapi(request: HttpRequest) -> HttpResponse:
    """Answer with the AsyncAPI document."""
    return _document(request, _asyncapi(), "application/yaml")


def _document(request: HttpRequest, document: bytes, content_type: str) -> HttpResponse:
    """Return the response with a document, or a 304 if the client has it already."""
    tag = f'"{hashlib.blake2b(document, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}
    response = HttpResponse(document, content_type=content_type, headers=headers)
    return get_conditional_response(request, etag=tag, response=response) or response


@lru_cache(maxsize=2)
def _openapi(*, as_json: bool) -> tuple[bytes, str]:
    renderer = OpenApiJsonRenderer() if as_json else OpenApiYamlRenderer()
    document: bytes = renderer.render(SchemaGenerator().get_schema(request=None, public=True))
    return document, renderer.media_type


@lru_cache(maxsize=1)
def _asyncapi() -> bytes:
    document: bytes = (settings.BASE_DIR / "docs" / "asyncapi.yaml").read_bytes()
    return document
