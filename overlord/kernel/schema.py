"""Words for the OpenAPI schema that several APIs need."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers


class _Paginated:
    """The envelope that `Pages` answers with."""

    parameters = (
        OpenApiParameter("cursor", str, description="From `next` or `previous`."),
        OpenApiParameter("page_size", int, description="1 to 100; 25 unless said."),
    )

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
