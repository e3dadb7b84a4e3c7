"""Refuse requests that no view could answer, before Django reads their session, CSRF token or body."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from overlord.shop import error_pages

MOST_HEADER_BYTES = 32_768  # of all headers and the address together


class RequestChecksMiddleware:
    """Refuse large headers, compressed bodies, unknown hosts, and methods that a page does not accept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return _refused(request) or self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        if hasattr(view, "model_admin") and "%00" in request.META.get("QUERY_STRING", ""):
            # The admin passes each parameter to PostgreSQL, which refuses a NUL. Our own views check their
            # parameters themselves.
            return error_pages.answer(
                request, HTTPStatus.BAD_REQUEST, code="invalid", detail="The request is not valid."
            )
        allowed = allowed_methods(view)
        if allowed is None or request.method in allowed:
            return None
        return error_pages.method_not_allowed(request, ", ".join(allowed))


def _refused(request: HttpRequest) -> HttpResponse | None:
    sent = sum(len(value) for name, value in request.META.items() if name.startswith("HTTP_"))
    if sent + len(request.path) + len(request.META.get("QUERY_STRING", "")) > MOST_HEADER_BYTES:
        return error_pages.answer(
            request,
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            code="headers_too_large",
            detail="The request's headers are larger than 32 KB.",
        )
    if request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
        return error_pages.answer(
            request,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            code="unsupported_media_type",
            detail="The server does not accept compressed requests. Send the request without compression.",
        )
    if request.path.strip("/") in settings.ASKED_FROM_WITHIN:
        return None
    try:
        request.get_host()
    except DisallowedHost as error:
        return error_pages.bad_request(request, error)
    return None


def allowed_methods(view: Callable[..., Any]) -> tuple[str, ...] | None:
    """Return the methods that a page's view accepts; None for the API and the admin, which check the method."""
    if hasattr(view, "cls"):
        return None
    page = getattr(view, "view_class", None)
    if page is None:
        return getattr(view, "allowed_methods", None)
    return tuple(
        name.upper()
        for name in page.http_method_names
        if hasattr(page, name) or (name == "head" and hasattr(page, "get"))
    )
