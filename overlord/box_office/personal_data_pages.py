"""The organiser's pages of personal data: find a person, export the person's data, and erase it.

The views decide nothing: each reads the request, calls services of other apps, and shows the result.
"""

import json
from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from checkout import services
from overlord.accounts.permissions import Permission
from overlord.accounts.selectors import actor_id
from overlord.box_office import selectors
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, NotFound
from overlord.kernel.methods import allow
from overlord.kernel.texts import EMAIL_LENGTH
from overlord.shop import error_messages, searches
from overlord.shop.permissions import staff_with


class EraseForm(forms.Form):
    """The e-mail address or username of the person to erase, which the actor types to confirm."""

    said = forms.CharField(
        label=_lazy("Type the e-mail address or username shown above to confirm"),
        max_length=EMAIL_LENGTH,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


@allow("GET")
@staff_with(Permission.PERSONAL_DATA)
def persons(request: HttpRequest) -> HttpResponse:
    """Find people by a part of their name or e-mail address."""
    search = searches.text_asked(request, most=EMAIL_LENGTH)
    rows = selectors.persons(search=search) if search else []
    return render(request, "box_office/persons.html", {"rows": rows, "search": search})


@allow("GET", "POST")
@staff_with(Permission.PERSONAL_DATA)
def person_data(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show which data of a person is kept, and what an erasure would remove; with a POST, erase the person."""
    form = EraseForm(request.POST if request.method == "POST" else None)
    status: int = HTTPStatus.OK
    if request.method == "POST":
        status = HTTPStatus.BAD_REQUEST
        if form.is_valid():
            try:
                services.person_erase(
                    user_id=user_id, staff_id=actor_id(request), typed=form.cleaned_data["said"]
                )
            except NotFound:
                raise
            except services.Unfinished:
                status = HTTPStatus.CONFLICT  # the page lists what must end first
            except DomainError as refused:
                form.add_error(None, error_messages.detail_of(refused))
                status = problems.status_of(refused)
            else:
                messages.success(request, _("The person was erased."))
                return redirect("office_persons")
    kept = services.person_kept(user_id=user_id)
    context = {
        "kept": kept,
        "person": kept.user,
        "form": form,
        "going_on": [_(each) for each in kept.going_on],
    }
    return render(request, "box_office/person_data.html", context, status=status)


@allow("GET", "POST")
@staff_with(Permission.PERSONAL_DATA)
def person_export(request: HttpRequest, user_id: int) -> HttpResponse:
    """Send all data of a person as a JSON file. The request is a POST, because it writes to the journal."""
    if request.method != "POST":
        return redirect("office_person_data", user_id)
    found = services.person_export(user_id=user_id, now=clock.now(), staff_id=actor_id(request))
    text = json.dumps(found, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False)
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="person-{user_id}.json"'
    return response
