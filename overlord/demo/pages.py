"""The mailbox: a page with the e-mails of a shop that keeps them as files and sends none."""

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from overlord.demo.mailbox import emails
from overlord.shop.permissions import superusers_only

FILES = "django.core.mail.backends.filebased.EmailBackend"


@require_safe
@superusers_only
def mailbox(request: HttpRequest) -> HttpResponse:
    """Show the newest e-mails to superusers. Nobody else may see them: links in them open other people's accounts.

    Answer 404 if the shop really sends e-mails.
    """
    if settings.EMAIL_BACKEND != FILES:
        raise Http404
    folder = Path(settings.EMAIL_FILE_PATH)  # type: ignore[misc]  # the settings take it from EMAIL_URL
    response = render(request, "demo/mailbox.html", {"emails": emails(folder), "folder": folder})
    response["Cache-Control"] = "no-store, private"
    return response
