"""Accounts in the admin. Tokens are not there: nobody but their holder may see one."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.http import HttpRequest

from overlord.accounts.forms import AdminAddUserForm, AdminLoginForm
from overlord.accounts.models import User

admin.site.login_form = AdminLoginForm


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    add_form = AdminAddUserForm
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": ("username", "email", "usable_password", "password1", "password2"),
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Write only the fields that were changed, so that an old form does not undo what happened since."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        own = {field.name for field in User._meta.concrete_fields}
        obj.save(update_fields=[name for name in form.changed_data if name in own])
