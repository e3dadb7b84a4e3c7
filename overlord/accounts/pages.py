"""The pages of accounts: log in, log out, sign up and reset a password. Django's views with our templates."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView

from overlord.accounts import forms as account_forms
from overlord.accounts import limits, passwords, services
from overlord.kernel import client_address
from overlord.kernel.errors import Invalid
from overlord.shop.next_page import NextPageMixin


class Login(NextPageMixin, views.LoginView):
    """Log in, then return to the page that asked for it, with the choice that was made there."""

    template_name = "accounts/login.html"
    authentication_form = account_forms.LoginForm
    redirect_authenticated_user = True
    next_page = "home"


class Logout(NextPageMixin, views.LogoutView):
    next_page = "home"


class SignupForm(forms.Form):
    username = forms.CharField(
        label=_("Username"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        help_text=_("We send your receipts to this address."),
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
    """Create an account, log in, and return to the page that asked for it."""

    template_name = "accounts/signup.html"
    form_class = SignupForm
    next_page = "home"

    def form_valid(self, form: SignupForm) -> HttpResponse:
        limits.count_signup(address=client_address.of_request(self.request))
        try:
            user = services.user_register(**form.cleaned_data)
        except Invalid as refused:
            for field, sentences in refused.facts.get("errors", {}).items():
                form.add_error(field, sentences)
            return self.form_invalid(form)
        login(self.request, user)
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(next=self.get_redirect_url(), **kwargs)


class PasswordResetForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


class PasswordReset(FormView):
    """Ask for a mail with a link to a new password; the answer does not tell whether there is such an account."""

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
    template_name = "accounts/password_new.html"
    success_url = reverse_lazy("home")
    post_reset_login = True

    def form_valid(self, form: SetPasswordForm) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, _("Your password has been changed. You are logged in."))
        return response
