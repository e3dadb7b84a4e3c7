"""Read the body of each request before the application gets the request. Runs in the threads of web processes.

There are two reasons. Django treats a body in chunks as empty, because it has no Content-Length. And if the
application answers before it has read the body (401, 404), Granian closes the connection, and the front server does
not get the answer. A slow client cannot delay the reading: the front server passes a request on only with the whole
body.
"""

import codecs
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.utils.http import parse_header_parameters

from overlord.kernel.problems import CONTENT_TYPE, problem
from overlord.kernel.rendering import dumps

LARGEST_BODY = 1_000_000  # bytes; the front server has the same limits
LONGEST_CONTENT_TYPE = 256  # characters; the time to parse it grows with the square of its length
LARGEST_UPLOAD = 12_000_000  # room for a picture of 10 MB and the other parts of its form
# The names are those in `codecs`. With some other codecs, such as `hex`, Django would raise an error outside of its
# error handling.
CHARSETS = {"utf-8", "ascii", "iso8859-1", "cp1252"}
UPLOADS = re.compile(r"/office/(events/[0-9]+/picture|look/logo)/?")

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class RequestBodyReader:
    """A WSGI application that reads a request's body into memory, states its length, and calls another one."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_readable(environ.get("CONTENT_TYPE", "")):
            sentence = "The server cannot read this content type or this character set. Use UTF-8."
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            return _refuse(start_response, status, "unsupported_media_type", sentence)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        in_chunks = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        if not length and not in_chunks:
            return self._application(environ, start_response)
        is_upload = UPLOADS.fullmatch(environ["PATH_INFO"]) is not None
        most = LARGEST_UPLOAD if is_upload else LARGEST_BODY
        body = environ["wsgi.input"].read(most + 1 if in_chunks else min(length, most + 1))
        if len(body) > most:
            sentence = f"The request is larger than {most // 1_000_000} MB."
            return _refuse(start_response, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large", sentence)
        if len(body) < length:  # a part of a body can be valid: `amount=10` can become `amount=1`
            sentence = "The connection ended before the whole request arrived. Send the request again."
            return _refuse(start_response, HTTPStatus.BAD_REQUEST, "request_incomplete", sentence)
        environ["wsgi.input"] = BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        return self._application(environ, start_response)


def _is_readable(content_type: str) -> bool:
    """Return whether Django can read a Content-Type and its charset.

    A charset that Python does not know is no obstacle, because Django ignores it.
    """
    if len(content_type) > LONGEST_CONTENT_TYPE:
        return False
    try:
        charset = parse_header_parameters(content_type)[1].get("charset")
    except (LookupError, ValueError):
        return False
    try:
        return charset is None or codecs.lookup(charset).name in CHARSETS
    except LookupError:
        return True
    except ValueError:
        return False


def _refuse(start_response: StartResponse, status: HTTPStatus, code: str, sentence: str) -> list[bytes]:
    body = dumps(problem(status, code=code, detail=sentence))
    headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
