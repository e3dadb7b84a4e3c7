"""The page of an invitation's link: accept the invitation with an account, or make an account."""

from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.accounts import guests, limits, passwords, selectors, staff_services
from overlord.accounts.models import StaffInvitation, User
from overlord.accounts.selectors import actor_id
from overlord.kernel import client_address, clock
from overlord.kernel.errors import Invalid
from overlord.kernel.methods import allow
from overlord.shop import languages
from overlord.shop.next_page import first_page


class PasswordForm(forms.Form):
    password = forms.CharField(
        label=_lazy("Password"),
        max_length=passwords.MAX_LENGTH,
        strip=False,
        help_text=_lazy("At least 8 characters. Do not use a common password."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


@allow("GET", "POST")
def invitation(request: HttpRequest, signed: str) -> HttpResponse:
    """Show an invitation to a person who has its link; with a POST, accept it."""
    found = staff_services.invitation_read(signed=signed, now=clock.now())
    account = selectors.account_of(email=found.email)
    if account is None:
        return _accept_new(request, signed, found)
    is_account = request.user.pk == account.pk
    if request.method == "POST" and is_account:
        staff_services.invitation_accept(signed=signed, user_id=account.pk, now=clock.now())
        return _welcome(request, found)
    is_other = not is_account and request.user.is_authenticated and not guests.is_guest(request)
    return _page(request, found, is_account=is_account, is_other=is_other)


def _accept_new(request: HttpRequest, signed: str, found: StaffInvitation) -> HttpResponse:
    """Ask for a password; with a valid one, make an account that accepts the invitation, and log in."""
    if request.user.is_authenticated and not guests.is_guest(request):
        return _page(request, found, is_other=True)
    form = PasswordForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = HTTPStatus.OK if request.method != "POST" else HTTPStatus.BAD_REQUEST
        return _page(request, found, status=status, form=form)
    limits.count_signup(address=client_address.of_request(request))
    try:
        user = staff_services.invitation_accept_new(
            signed=signed,
            password=form.cleaned_data["password"],
            language=languages.of_request(request),
            now=clock.now(),
        )
    except Invalid as refused:
        for field, sentences in refused.facts.get("errors", {}).items():
            form.add_error(field if field in form.fields else None, sentences)
        return _page(request, found, status=HTTPStatus.BAD_REQUEST, form=form)
    with guests.log_in_of_guest(request):
        login(request, user)
    return _welcome(request, found)


def _page(
    request: HttpRequest, found: StaffInvitation, *, status: int = HTTPStatus.OK, **context: object
) -> HttpResponse:
    return render(request, "accounts/invitation.html", {"invitation": found, **context}, status=status)


def _welcome(request: HttpRequest, found: StaffInvitation) -> HttpResponse:
    sentence = _("You are now a member of staff. Your role: %(role)s. Use the menu to open your pages.") % {
        "role": found.role.name
    }
    messages.success(request, sentence)
    user = User.objects.get(pk=actor_id(request))  # read again, because the user has a new role
    return redirect(first_page(user))
