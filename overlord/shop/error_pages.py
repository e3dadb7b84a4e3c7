"""The answers for errors, as pages for people and as problem+json for programs.

This module has a middleware for errors of pages, the handlers of `overlord/urls.py`, and CSRF_FAILURE_VIEW.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.core.exceptions import DisallowedHost, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from overlord.kernel import errors, problems
from overlord.shop import error_messages


def page(request: HttpRequest, message: error_messages.ErrorMessage, *, status: int) -> HttpResponse:
    """Return a page that says what happened and what the reader can do."""
    return render(request, "shop/error.html", {"message": message}, status=status)


def page_of_view(
    request: HttpRequest, template: str, context: dict[str, Any], *, refused: errors.DomainError | None
) -> HttpResponse:
    """Return a view's own page. If the view refused the request (`refused`), the page gets the error's status."""
    if refused is None:
        return render(request, template, context)
    response = render(request, template, context, status=problems.status_of(refused))
    problems.retry_after_add(response, refused)
    return response


class ErrorPageMiddleware:
    """Turn an error of a page's view into an error page. The views of the API answer their own errors.

    Some of Django's own views, such as the log-out of the admin, refuse a method with an empty answer. Such an
    answer becomes an error page too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != HTTPStatus.METHOD_NOT_ALLOWED or response.streaming or response.content:
            return response
        return method_not_allowed(request, response.get("Allow", ""))

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
        problems.retry_after_add(response, error)
        return response


def answer(request: HttpRequest, status: HTTPStatus, *, code: str, detail: str) -> HttpResponse:
    """Return an error page for a browser, and a problem for a program."""
    if problems.prefers_html(request):
        return page(request, error_messages.of_code(code, otherwise=detail), status=status)
    return problems.answer(status, code=code, detail=detail)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Answer a method that an address does not accept; `allowed` lists the methods that it accepts."""
    detail = f"This address accepts {allowed} only."
    response = answer(request, HTTPStatus.METHOD_NOT_ALLOWED, code="method_not_allowed", detail=detail)
    response["Allow"] = allowed
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refuses (`handler400`), for example with an unknown host."""
    code = "bad_host" if isinstance(exception, DisallowedHost) else "invalid"
    return answer(request, HTTPStatus.BAD_REQUEST, code=code, detail="The request is not valid.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an unknown path (`handler404`)."""
    return answer(request, HTTPStatus.NOT_FOUND, code="not_found", detail="There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an unexpected error (`handler500`). Its cause is in the log and not in the answer."""
    detail = "Something went wrong on our side."
    return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, code="server_error", detail=detail)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid CSRF token (`CSRF_FAILURE_VIEW`)."""
    detail = reason or "The security token of the form is missing."
    return answer(request, HTTPStatus.FORBIDDEN, code="csrf_failed", detail=detail)
