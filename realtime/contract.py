"""The contract of the live side, as HTTP gives it."""

from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
def asyncapi(_request: HttpRequest) -> HttpResponse:
    """Will answer with the AsyncAPI document."""
    return HttpResponse(_document(), content_type="application/yaml")


@lru_cache(maxsize=1)
def _document() -> bytes:
    document: bytes = (settings.BASE_DIR / "docs" / "asyncapi.yaml").read_bytes()
    return document
