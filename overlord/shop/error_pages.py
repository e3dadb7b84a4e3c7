"""Errors as pages for people, and as problem+json for programs: one middleware, and the error handlers of urls."""

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from overlord.kernel import errors, problems
from overlord.shop import error_messages


def page(request: HttpRequest, message: error_messages.ErrorMessage, *, status: int) -> HttpResponse:
    """Return a page that says what happened and what the reader can do."""
    return render(request, "shop/error.html", {"message": message}, status=status)


class ErrorPageMiddleware:
    """Turn what a page's view raises into an error page. The API's views answer their own errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            error = errors.Busy()
        if isinstance(error, PermissionDenied):
            error = errors.Forbidden()
        if isinstance(error, Http404):
            error = errors.NotFound()
        if not isinstance(error, errors.DomainError):
            return None
        response = page(request, error_messages.of_error(error), status=problems.status_of(error))
        if "retry_after" in error.facts:
            response["Retry-After"] = str(error.facts["retry_after"])
        return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path (`handler404`)."""
    if problems.prefers_html(request):
        return page(request, error_messages.of_code("not_found"), status=404)
    return problems.not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected error (`handler500`)."""
    if problems.prefers_html(request):
        return page(request, error_messages.of_code("server_error"), status=500)
    return problems.server_error(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid CSRF token (`CSRF_FAILURE_VIEW`)."""
    if problems.prefers_html(request):
        return page(request, error_messages.of_code("csrf_failed"), status=403)
    return problems.csrf_failure(request, reason)
