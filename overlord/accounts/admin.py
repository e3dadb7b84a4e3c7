"""The admin's pages of users and groups. They do not show API tokens, because only the owner may see a token."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from overlord.accounts import selectors
from overlord.accounts.forms import AdminAddUserForm, AdminLoginForm, AdminUserForm
from overlord.accounts.models import User

admin.site.login_form = AdminLoginForm


RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    form = AdminUserForm
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        (None, {"fields": ("version",)}),
    )
    readonly_fields = ("last_login",)
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

    list_filter = (*DjangoUserAdmin.list_filter, "is_guest")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Return the fields that the actor cannot change.

        Only superusers give rights. Otherwise staff who may change users could give themselves every right. Nobody
        changes their own rights, so that the last superuser stays a superuser.
        """
        own = super().get_readonly_fields(request, obj)
        if obj is not None and obj.pk == request.user.pk:
            return [*own, *RIGHTS, "is_active"]
        return [*own] if request.user.is_superuser else [*own, *RIGHTS]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the actor may change the user: only if the actor has all rights that the user has."""
        return _has_all_rights_of(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Return whether the actor may delete the user: not themselves, and nobody with more rights."""
        if obj is not None and obj.pk == request.user.pk:
            return False
        return _has_all_rights_of(request, obj) and super().has_delete_permission(request, obj)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> User | None:
        """Return the user of a page. If its form was sent, lock the row, so that nobody else changes it."""
        user: User | None = super().get_object(request, object_id, from_field)
        match = request.resolver_match
        is_sent = request.method == "POST" and match and match.url_name == "accounts_user_change"
        if user is None or not is_sent:
            return user
        return User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save the user. For an existing user, write only the fields that were changed."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        own = {field.name for field in User._meta.concrete_fields}
        obj.save(update_fields=[name for name in form.changed_data if name in own])


def _has_all_rights_of(request: HttpRequest, obj: User | None) -> bool:
    """Return whether the actor has all rights of a user.

    Without this check, an actor could set the password of a user with more rights, and log in as this user.
    """
    if request.user.is_superuser or obj is None:
        return True
    return selectors.rights_of(user_id=selectors.actor_id(request)).cover(selectors.rights(obj))


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    """The roles, which Django calls groups, with their permissions. Only superusers change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser
