"""The organiser's pages of staff: list, invite and change people, and end their access.

The views decide nothing: each reads the request, calls services of other apps, and shows the result.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.accounts import second_factor, second_factor_services
from overlord.accounts import selectors as accounts
from overlord.accounts import staff_services as services
from overlord.accounts.permissions import Permission
from overlord.accounts.rules import RightsBeyondYours
from overlord.accounts.selectors import actor_id
from overlord.box_office import roles
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, NotFound, TooMany
from overlord.kernel.form_fields import WholeNumberField
from overlord.kernel.methods import allow
from overlord.kernel.numbers import LARGEST_ID
from overlord.kernel.texts import EMAIL_LENGTH
from overlord.shop import error_messages
from overlord.shop.permissions import staff_with

VERSION_LENGTH = 16


class InviteForm(forms.Form):
    """The person to invite, and one of the roles that the actor may give."""

    email = forms.EmailField(label=_lazy("E-mail address"), max_length=EMAIL_LENGTH)
    role = forms.TypedChoiceField(label=_lazy("Role"), coerce=int)

    def __init__(self, *args: Any, roles: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles  # type: ignore[attr-defined]


class RolesForm(forms.Form):
    """The new roles of a person, and the person's access as the actor saw it (`access_version`)."""

    roles = forms.TypedMultipleChoiceField(
        label=_lazy("Roles"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    before = forms.CharField(max_length=VERSION_LENGTH, widget=forms.HiddenInput)

    def __init__(self, *args: Any, roles: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["roles"].choices = roles  # type: ignore[attr-defined]


class EndForm(forms.Form):
    """The person's access as the actor saw it (`access_version`).

    The forms that end the access or reset the second factor send this.
    """

    before = forms.CharField(max_length=VERSION_LENGTH, widget=forms.HiddenInput)


class InvitationForm(forms.Form):
    """The issue of the invitation, as the actor saw it."""

    issue = WholeNumberField(min_value=1, max_value=LARGEST_ID, widget=forms.HiddenInput())


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def people(request: HttpRequest) -> HttpResponse:
    """List the staff and the invited people, and invite a person."""
    form = InviteForm(request.POST or None, roles=_roles(request))
    status: int = HTTPStatus.OK
    if request.method == "POST":
        status = HTTPStatus.BAD_REQUEST
        if form.is_valid():
            given = form.cleaned_data
            try:
                services.invitation_make(
                    actor_id=actor_id(request), email=given["email"], role_id=given["role"], now=clock.now()
                )
            except TooMany:
                raise
            except DomainError as refused:
                form.add_error(None, error_messages.detail_of(refused))
                status = problems.status_of(refused)
            else:
                messages.success(request, _("The invitation is being sent."))
                return redirect("office_people")
    return render(request, "box_office/people.html", _people_context(request, form), status=status)


def _people_context(request: HttpRequest, form: InviteForm) -> dict[str, Any]:
    own, now = accounts.rights_of(user_id=actor_id(request)), clock.now()
    return {
        "form": form,
        "may_make_roles": own.cover(roles.rights_of_all()),
        "roles_command": "manage.py make_roles",
        "roles_lack": {name: ", ".join(missing) for name, missing in roles.roles_lack().items()},
        "rows": [
            {
                "person": each,
                "is_me": each.pk == request.user.pk,
                "may_change": own.cover(accounts.rights(each)),
            }
            for each in accounts.staff()
        ],
        "invitations": [
            {
                "invitation": each,
                "is_over": each.expires_at <= now,
                "form": InvitationForm(initial={"issue": each.issue}, auto_id=False),
            }
            for each in accounts.invitations()
        ],
    }


def _roles(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the roles that the actor may give."""
    own = accounts.rights_of(user_id=actor_id(request))
    return [(pk, role.name) for pk, (role, asked) in accounts.roles().items() if own.cover(asked)]


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def roles_make(request: HttpRequest) -> HttpResponse:
    """Make the usual roles that are missing, and add missing permissions to those that exist."""
    if request.method != "POST":
        return redirect("office_people")
    if accounts.rights_of(user_id=actor_id(request)).cover(roles.rights_of_all()):
        roles.roles_make(actor_id=actor_id(request))
        messages.success(request, _("The default roles exist and have all their permissions."))
    else:
        messages.warning(request, error_messages.detail_of(RightsBeyondYours()))
    return redirect("office_people")


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def person(request: HttpRequest, user_id: int) -> HttpResponse:
    """Show one of the staff, and change the roles of this person."""
    form = RolesForm(request.POST, roles=_roles(request)) if request.method == "POST" else None
    if form is None:
        return _person_page(request, user_id)
    if not form.is_valid():
        return _person_page(request, user_id, form=form, status=HTTPStatus.BAD_REQUEST)
    given = form.cleaned_data
    try:
        services.roles_change(
            actor_id=actor_id(request),
            user_id=user_id,
            role_ids=given["roles"],
            before=given["before"],
            now=clock.now(),
        )
    except NotFound:
        raise
    except DomainError as refused:
        sentence = error_messages.detail_of(refused)
        return _person_page(request, user_id, error=sentence, status=problems.status_of(refused))
    messages.success(request, _("The roles were changed."))
    return redirect("office_people")


def _person_page(
    request: HttpRequest,
    user_id: int,
    *,
    form: RolesForm | None = None,
    error: str = "",
    status: int = HTTPStatus.OK,
) -> HttpResponse:
    """Show the access of a person, with `error` after a refusal.

    Without `form`, the page has a form with the current roles.
    """
    shown = accounts.staff_person(user_id=user_id)
    if shown is None:
        raise NotFound()
    version = accounts.access_version(user_id=user_id)
    known = {"roles": [each.pk for each in shown.groups.all()], "before": version}
    is_covered = accounts.rights_of(user_id=actor_id(request)).cover(accounts.rights(shown))
    context = {
        "person": shown,
        "form": form or RolesForm(roles=_roles(request), initial=known),
        "end": EndForm(initial={"before": version}, auto_id=False),
        "own_permissions": len(shown.user_permissions.all()),
        "is_me": shown.pk == request.user.pk,
        "may_change": is_covered and shown.pk != request.user.pk,
        "has_factor": second_factor.is_on() and accounts.second_factor(user_id=user_id) is not None,
        "error": error,
    }
    return render(request, "box_office/person.html", context, status=status)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def person_end(request: HttpRequest, user_id: int) -> HttpResponse:
    """End the access of one of the staff."""
    form = EndForm(request.POST)
    if request.method != "POST" or not form.is_valid():
        return redirect("office_person", user_id)
    before = form.cleaned_data["before"]
    try:
        services.access_end(actor_id=actor_id(request), user_id=user_id, before=before, now=clock.now())
    except NotFound:
        raise
    except DomainError as refused:
        sentence = error_messages.detail_of(refused)
        return _person_page(request, user_id, error=sentence, status=problems.status_of(refused))
    messages.success(request, _("The person no longer has access and is logged out everywhere."))
    return redirect("office_people")


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def person_reset(request: HttpRequest, user_id: int) -> HttpResponse:
    """Reset the second factor of one of the staff who lost the device."""
    form = EndForm(request.POST)
    if request.method != "POST" or not form.is_valid():
        return redirect("office_person", user_id)
    before = form.cleaned_data["before"]
    try:
        second_factor_services.factor_reset(actor_id=actor_id(request), user_id=user_id, before=before)
    except NotFound:
        raise
    except DomainError as refused:
        sentence = error_messages.detail_of(refused)
        return _person_page(request, user_id, error=sentence, status=problems.status_of(refused))
    messages.success(
        request, _("The second factor was reset. The person sets up a new one at the next log-in.")
    )
    return redirect("office_person", user_id)


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def invitation_resend(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """Send an invitation again."""
    return _with_invitation(
        request, invitation_id, services.invitation_resend, _("The invitation is being sent again.")
    )


@allow("GET", "POST")
@staff_with(Permission.MANAGE_STAFF)
def invitation_withdraw(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """End an invitation."""
    return _with_invitation(
        request, invitation_id, services.invitation_withdraw, _("The invitation was withdrawn.")
    )


def _with_invitation(
    request: HttpRequest, invitation_id: int, do: Callable[..., None], sentence: str
) -> HttpResponse:
    form = InvitationForm(request.POST)
    if request.method != "POST" or not form.is_valid():
        return redirect("office_people")
    issue = form.cleaned_data["issue"]
    try:
        do(actor_id=actor_id(request), invitation_id=invitation_id, issue=issue, now=clock.now())
    except TooMany:
        raise
    except DomainError as refused:
        messages.warning(request, error_messages.detail_of(refused))
    else:
        messages.success(request, sentence)
    return redirect("office_people")
