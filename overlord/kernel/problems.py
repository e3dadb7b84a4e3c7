"""The answers for errors, as problem+json (RFC 9457): the table STATUSES gives each category its HTTP status."""

import logging
import re
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response

from overlord.kernel import errors
from overlord.kernel.rendering import dumps

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"

STATUSES: dict[type[errors.DomainError], HTTPStatus] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Gone: HTTPStatus.GONE,
    errors.Outdated: HTTPStatus.PRECONDITION_FAILED,
    errors.Mismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
}


def status_of(error: errors.DomainError) -> HTTPStatus:
    """Return the HTTP status of an error's category."""
    return next(STATUSES[category] for category in type(error).__mro__ if category in STATUSES)


def retry_after_add(headers: dict[str, str] | HttpResponse, error: errors.DomainError) -> None:
    """Add a Retry-After header (the seconds until the client may try again), if the error has this fact."""
    if "retry_after" in error.facts:
        headers["Retry-After"] = str(error.facts["retry_after"])


def problem(status: int, *, code: str, detail: str, **facts: Any) -> dict[str, Any]:
    """Return the body of a problem: the members of RFC 9457, the `code`, and the facts."""
    return {
        "type": f"urn:ticket-overlord:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": int(status),
        "detail": detail,
        "code": code,
        **facts,
    }


def problem_response(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the response for an error of a view: DRF calls this function (EXCEPTION_HANDLER).

    Return None for an unknown error. DRF then raises it, and the client gets a 500.
    """
    headers: dict[str, str] = {}
    if isinstance(error, OperationalError | InterfaceError):
        error = _busy(error)
    if isinstance(error, errors.DomainError):
        body = problem(status_of(error), code=error.code, detail=error.detail, **error.facts)
        retry_after_add(headers, error)
    elif (api_error := _as_api_exception(error)) is not None:
        body = _api_problem(api_error)
        if (challenge := getattr(api_error, "auth_header", None)) is not None:
            headers["WWW-Authenticate"] = challenge
    else:
        return None
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def _busy(error: Exception) -> errors.Busy:
    """Log that a lock was not free in time, or that PostgreSQL is away; return the error for clients."""
    logger.warning("PostgreSQL could not answer: %s", str(error).strip())
    return errors.Busy()


def _as_api_exception(error: Exception) -> drf.APIException | None:
    if isinstance(error, Http404):
        return drf.NotFound(errors.NotFound.sentence)
    if isinstance(error, PermissionDenied):
        return drf.PermissionDenied()
    return error if isinstance(error, drf.APIException) else None


def _api_problem(error: drf.APIException) -> dict[str, Any]:
    if isinstance(error, drf.ValidationError):
        by_field = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
        return problem(400, code="invalid", detail=errors.Invalid.sentence, errors=by_field)
    code = error.get_codes()
    return problem(
        error.status_code, code=code if isinstance(code, str) else "error", detail=str(error.detail)
    )


# Outside DRF ---------------------------------------------------------------------------------------------
_READABLE = re.compile(r"text/html|application/xhtml")


def prefers_html(request: HttpRequest) -> bool:
    """Return whether the client wants a page (as browsers do) and not data (as programs do)."""
    accept = request.headers.get("Accept", "")
    return bool(_READABLE.search(accept.partition("json")[0]))


def answer(status: HTTPStatus, *, code: str, detail: str) -> HttpResponse:
    """Return a problem as a response, outside of the API's views."""
    body = dumps(problem(status, code=code, detail=detail))
    return HttpResponse(body, status=status, content_type=CONTENT_TYPE)
