"""The language of pages and mails. Used in the threads of the web processes, and in workers that write mails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.i18n import JavaScriptCatalog, JSONCatalog

LANGUAGES: dict[str, str] = dict(settings.LANGUAGES)
COOKIE_SECONDS = 365 * 24 * 3600
# Texts of Django that our catalogues translate too. Otherwise pages would show the translation of Django REST
# Framework, whose German is informal.
ANEW = (translation.gettext_noop("Enter a valid email address."),)


class LanguageMiddleware(LocaleMiddleware):
    """Answer with a page in the language that its reader has chosen, or else in one that the browser accepts.

    The API always answers in English, because its sentences are for people who write clients.
    """

    def process_view(self, _request: HttpRequest, view: Callable[..., Any], _args: Any, _kwargs: Any) -> None:
        if _is_of_api(view):
            translation.activate(settings.LANGUAGE_CODE)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        match = request.resolver_match
        if match is None or not _is_of_api(match.func):
            patch_vary_headers(response, ["Cookie"])
        return response


def _is_of_api(view: Callable[..., Any]) -> bool:
    return hasattr(view, "cls")  # only views of DRF have this attribute


def keep_choice(request: HttpRequest, response: HttpResponse, *, language: str) -> None:
    """Set a cookie with the language that the reader has chosen."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=COOKIE_SECONDS,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def of_request(request: HttpRequest) -> str:
    """Return the language that a request for a page or to the API asks for; "" if it asks for none."""
    asks = "Accept-Language" in request.headers or settings.LANGUAGE_COOKIE_NAME in request.COOKIES
    return known(getattr(request, "LANGUAGE_CODE", "")) if asks else ""


def known(language: str) -> str:
    """Return `language` if there are pages in it, else English."""
    return language if language in LANGUAGES else settings.LANGUAGE_CODE


def has_catalogue(language: str) -> bool:
    """Return whether there are translations into a language. The texts in the code are English already."""
    return language.partition("-")[0] != "en"


@contextmanager
def spoken(language: str) -> Iterator[None]:
    """Activate a language for the block, for example to write a mail."""
    with translation.override(known(language)):
        yield


def scripts_catalogue(request: HttpRequest, language: str) -> HttpResponseBase:
    """Return a script with the texts of our JavaScript, in the language that the address names.

    Each language has an address of its own, so that no cache returns another language.
    """
    with spoken(language):
        return JavaScriptCatalog.as_view(packages=["overlord.shop"])(request)


def widgets_catalogue(request: HttpRequest, language: str) -> HttpResponseBase:
    """Return the texts of `scripts_catalogue` as JSON. Pages of other sites may read it: the widget runs there."""
    with spoken(language):
        response = JSONCatalog.as_view(packages=["overlord.shop"])(request)
    response["Access-Control-Allow-Origin"] = "*"
    return response
