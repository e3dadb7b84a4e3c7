"""The pages of accounts: log in, log out, sign up, reset a password, choose a language.

Most are Django's views with our templates.
"""

from http import HTTPStatus
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.forms import AuthenticationForm, SetPasswordForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView

from overlord.accounts import forms as account_forms
from overlord.accounts import guests, limits, passwords, services
from overlord.accounts.models import User
from overlord.kernel import client_address
from overlord.kernel.csrf import origin_decides
from overlord.kernel.errors import Invalid
from overlord.kernel.methods import allow
from overlord.kernel.texts import EMAIL_LENGTH
from overlord.shop import languages
from overlord.shop.next_page import NextPageMixin, first_page, has_selection, is_page


@allow("POST")
@origin_decides
def language_choose(request: HttpRequest) -> HttpResponse:
    """Set the language that a visitor chose at the foot of a page, and redirect to that page."""
    address = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    response = HttpResponseRedirect(
        address if is_ours and is_page(address, but={"logout"}) else "/", status=HTTPStatus.SEE_OTHER
    )
    language = request.POST.get("language", "")
    if language in languages.LANGUAGES:
        languages.keep_choice(request, response, language=language)
        services.language_keep(user_id=request.user.pk, language=language)
    return response


class Login(NextPageMixin, views.LoginView):
    """Log in, then redirect to the page that asked for the log-in, with the tickets that were selected there.

    If no page asked for it, redirect to `first_page`.
    """

    template_name = "accounts/login.html"
    authentication_form = account_forms.LoginForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.redirect_authenticated_user = not guests.is_guest(request)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        with guests.log_in_of_guest(self.request):
            response = super().form_valid(form)
        services.language_keep(user_id=self.request.user.pk, language=languages.of_request(self.request))
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the template's context, with whether the page that asked for the log-in shows selected tickets."""
        return super().get_context_data(**kwargs, has_selection=has_selection(self.get_redirect_url()))

    def get_default_redirect_url(self) -> str:
        """Return the address to go to if no page asked for the log-in."""
        return first_page(self.request.user)


class Logout(NextPageMixin, views.LogoutView):
    next_page = "home"


class SignupForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=EMAIL_LENGTH,
        help_text=_("We send your tickets and receipts to this address."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=passwords.MAX_LENGTH,
        strip=False,
        help_text=_("At least 8 characters. Do not use a common password."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class Signup(NextPageMixin, FormView):
    """Create an account, log in, and redirect to the page that asked for the account.

    A guest becomes the account, and keeps reservations, payments and tickets.
    """

    template_name = "accounts/signup.html"
    form_class = SignupForm
    next_page = "home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """If the person is already logged in to an account, redirect to the page that asked for the account."""
        if request.user.is_authenticated and not guests.is_guest(request):
            return HttpResponseRedirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: SignupForm) -> HttpResponse:
        limits.count_signup(address=client_address.of_request(self.request))
        try:
            user = self._register(**form.cleaned_data)
        except Invalid as refused:
            for field, sentences in refused.facts.get("errors", {}).items():
                form.add_error(field if field in form.fields else None, sentences)
            return self.form_invalid(form)
        except services.NotAGuest:  # the form was sent twice, and the first request has made the account
            return HttpResponseRedirect(self.get_success_url())
        services.language_keep(user_id=user.pk, language=languages.of_request(self.request))
        login(self.request, user)
        return HttpResponseRedirect(self.get_success_url())

    def _register(self, *, email: str, password: str) -> User:
        guest_id = self.request.user.pk if guests.is_guest(self.request) else None
        given = {"email": email, "password": password}

        def make(username: str) -> User:
            if guest_id is not None:
                return services.guest_claim(user_id=guest_id, username=username, **given)
            return services.user_register(username=username, **given)

        return services.with_free_username(make, email=email)

    def get_initial(self) -> dict[str, Any]:
        user = self.request.user
        return {"email": user.known_contact["email"] if isinstance(user, User) else ""}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(next=self.get_redirect_url(), **kwargs)


class PasswordResetForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=EMAIL_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class PasswordReset(FormView):
    """Send a mail with a link to choose a new password. The answer does not tell whether an account exists."""

    template_name = "accounts/password_reset.html"
    form_class = PasswordResetForm
    success_url = reverse_lazy("password_reset_sent")

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        services.password_reset_request(
            email=form.cleaned_data["email"], address=client_address.of_request(self.request)
        )
        return super().form_valid(form)


class PasswordResetSent(views.PasswordResetDoneView):
    template_name = "accounts/password_reset_sent.html"


class PasswordNew(views.PasswordResetConfirmView):
    """Set a new password, and log in. If a guest makes the request, the guest's orders follow to the account."""

    template_name = "accounts/password_new.html"
    post_reset_login = True

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        with guests.log_in_of_guest(self.request):
            response = super().form_valid(form)
        messages.success(self.request, _("Your password has been changed. You are logged in."))
        return response

    def get_success_url(self) -> str:
        """Return the address of the page where the user begins."""
        return first_page(self.request.user)
