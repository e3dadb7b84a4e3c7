"""The organiser's pages of the shop's look: its name, logo, colours, mails, imprint and terms."""

from functools import partial
from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from overlord.accounts.selectors import actor_id
from overlord.journal import operations as journal
from overlord.journal.actions import Action
from overlord.kernel import clock
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.shop import error_messages, pictures, selectors, services
from overlord.shop.permissions import Permission, staff_with


@allow("GET", "POST")
@staff_with(Permission.MANAGE_LOOK)
def look(request: HttpRequest) -> HttpResponse:
    """Show the look of the shop, and save changes of it."""
    if request.method != "POST":
        return render(request, "box_office/look.html", {"form": services.look_form()})
    shown = services.look_save(data=request.POST, then=partial(_journal, request, Action.LOOK_CHANGED))
    if shown.is_saved:
        messages.success(request, _("Saved. All pages show the changes within two seconds."))
        return redirect("office_look")
    status = HTTPStatus.CONFLICT if shown.form.meanwhile else HTTPStatus.BAD_REQUEST
    return render(request, "box_office/look.html", {"form": shown.form, "is_sent": True}, status=status)


def _journal(request: HttpRequest, action: Action) -> None:
    journal.entry_add(actor_id=actor_id(request), action=action, now=clock.now())


class LogoForm(forms.Form):
    """The version that staff saw, and whether to remove the logo. A file is a separate field of the request."""

    version = WholeNumberField(min_value=1, max_value=LARGEST_ID)
    remove = forms.BooleanField(required=False)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_LOOK)
def logo(request: HttpRequest) -> HttpResponse:
    """Show the logo, and replace or remove it."""
    if request.method != "POST":
        return _logo_page(request)
    form, file = LogoForm(request.POST), request.FILES.get("picture")
    if not form.is_valid():
        return redirect("office_logo")
    remove = form.cleaned_data["remove"]
    if file is None and not remove:
        return _logo_page(request, error=_("Choose a file first."))
    try:
        services.look_logo_set(
            version=form.cleaned_data["version"],
            content=None if remove or file is None else file.read(pictures.LARGEST_FILE + 1),
            then=partial(_journal, request, Action.LOGO_CHANGED),
        )
    except (pictures.PictureRefused, services.LookOutdated) as refused:
        return _logo_page(request, error=error_messages.detail_of(refused))
    messages.success(request, _("The logo was removed.") if remove else _("The logo was saved."))
    return redirect("office_look")


def _logo_page(request: HttpRequest, *, error: str = "") -> HttpResponse:
    shown = selectors.look()
    context = {
        "version": shown.version,
        "picture": pictures.shown(pictures.address(shown.logo)),
        "error": error,
    }
    status = HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK
    return render(request, "box_office/logo.html", context, status=status)
