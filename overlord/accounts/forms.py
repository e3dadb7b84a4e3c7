"""The forms of users and log-ins, on the pages and in the admin."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import (
    AdminUserCreationForm,
    AuthenticationForm,
    UserChangeForm,
    UsernameField,
)
from django.utils.translation import gettext_lazy as _

from overlord.accounts import passwords, selectors
from overlord.accounts.models import User
from overlord.kernel.texts import EMAIL_LENGTH

WRONG = _("Wrong username, e-mail address or password.")


class _LoginFields(AuthenticationForm):
    """The fields of a log-in: username or e-mail address, and password. The API limits their lengths equally."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        username = UsernameField(label=_("Username or e-mail address"), max_length=EMAIL_LENGTH)
        username.widget.attrs |= {"autofocus": True, "maxlength": EMAIL_LENGTH}
        self.fields["username"] = username
        self.fields["password"] = forms.CharField(
            label=_("Password"),
            max_length=passwords.MAX_LENGTH,
            strip=False,
            widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        )


class LoginForm(_LoginFields):
    """The log-in of the pages."""

    error_messages = {**AuthenticationForm.error_messages, "invalid_login": WRONG}


class AdminLoginForm(AdminAuthenticationForm, _LoginFields):
    """The log-in of the admin, only for staff."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": _("Wrong username, e-mail address or password, or not a staff account."),
    }


class AdminAddUserForm(AdminUserCreationForm):
    """The admin's form for a new user, which asks for the e-mail address too."""

    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email")

    def clean_username(self) -> str:
        """Leave the check for a taken name to the model, which compares as the database does."""
        username: str = self.cleaned_data["username"]
        return username


class AdminUserForm(UserChangeForm):
    """The admin's form of a user. It contains the version of the user, so that an old form is refused."""

    version = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._current_version = selectors.account_version(self.instance)
        self.initial["version"] = self._current_version

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("version") != self._current_version:
            raise forms.ValidationError(
                _("Somebody else has changed this user. Reload the page, and make your changes again."),
                code="outdated",
            )
        return cleaned
