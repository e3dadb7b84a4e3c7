"""The pages of accounts: log in and out, sign up, and a new password for a lost one. Django's own, in our frame."""

from typing import Any

from django import forms
from django.contrib.auth import login, views
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.views.generic import FormView

from overlord.accounts import services
from overlord.kernel.errors import Invalid


class Login(views.LoginView):
    """Logs in, and leads to where the buyer was, with what he chose."""

    template_name = "accounts/login.html"
    redirect_authenticated_user = True
    next_page = "home"


class Logout(views.LogoutView):
    next_page = "home"


class SignupForm(forms.Form):
    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    email = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        help_text=_("Your receipts go there."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=128,
        strip=False,
        help_text=_("Eight characters at least, and nothing that many people use."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class Signup(views.RedirectURLMixin, FormView):
    """Makes an account, logs in, and leads to where the buyer was."""

    template_name = "accounts/signup.html"
    form_class = SignupForm
    next_page = "home"

    def form_valid(self, form: SignupForm) -> HttpResponse:
        try:
            user = services.user_register(**form.cleaned_data)
        except Invalid as refused:
            for field, sentences in refused.facts.get("errors", {}).items():
                form.add_error(field, sentences)
            return self.form_invalid(form)
        login(self.request, user, backend="django.contrib.auth.backends.ModelBackend")
        return HttpResponseRedirect(self.get_success_url())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(next=self.get_redirect_url(), **kwargs)


class PasswordReset(views.PasswordResetView):
    template_name = "accounts/password_reset.html"
    email_template_name = "accounts/password_reset_mail.txt"
    subject_template_name = "accounts/password_reset_subject.txt"
    success_url = reverse_lazy("password_reset_sent")


class PasswordResetSent(views.PasswordResetDoneView):
    template_name = "accounts/password_reset_sent.html"


class PasswordNew(views.PasswordResetConfirmView):
    template_name = "accounts/password_new.html"
    success_url = reverse_lazy("home")
    post_reset_login = True
    post_reset_login_backend = "django.contrib.auth.backends.ModelBackend"
