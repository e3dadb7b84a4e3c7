"""The machine-readable contracts: parts of the OpenAPI schema that several APIs need, and the AsyncAPI document."""

from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers

from overlord.kernel.problems import CONTENT_TYPE


class Problem(serializers.Serializer[Any]):
    """RFC 9457, with a stable `code` and the facts that belong to it."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()


class Schema(AutoSchema):
    """Says of every operation that what it refuses, it refuses with a problem."""

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        problem = self.resolve_serializer(Problem, direction).ref
        refused = {
            "description": "Refused: docs/errors.md has every code.",
            "content": {CONTENT_TYPE: {"schema": problem}},
        }
        return {**super()._get_response_bodies(direction), "default": refused}


class _Paginated:
    """The envelope that `Pages` answers with."""

    parameters = [
        OpenApiParameter("cursor", str, description="From `next` or `previous`."),
        OpenApiParameter("page_size", int, description="1 to 100; 25 unless said."),
    ]

    def __call__(self, shape: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
        """Will describe a page of `shape`."""
        return inline_serializer(
            f"{shape.__name__}Page",
            {
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
                "results": shape(many=True),
            },
        )


paginated = _Paginated()


@require_safe
def asyncapi(_request: HttpRequest) -> HttpResponse:
    """Answer with the AsyncAPI document."""
    return HttpResponse(_document(), content_type="application/yaml")


@lru_cache(maxsize=1)
def _document() -> bytes:
    document: bytes = (settings.BASE_DIR / "docs" / "asyncapi.yaml").read_bytes()
    return document
