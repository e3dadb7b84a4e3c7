"""The permissions of staff for accounts, and the check of permissions in the API.

Pages check permissions with `overlord.shop.permissions`. `rules.py` decides which staff may give which permission.
"""

from enum import StrEnum

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from overlord.accounts import rules, second_factor, selectors


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    MANAGE_STAFF = rules.MANAGE_STAFF
    PERSONAL_DATA = "accounts.handle_personal_data"


class StaffPermission(BasePermission):
    """Allow staff who have the view's `permission` and, if this permission needs it, have shown a second factor."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        permission: str = view.permission  # type: ignore[attr-defined]
        return check_staff(request, permission)


def check_staff(request: Request, permission: str) -> bool:
    """Return whether a request comes from staff who have the permission.

    Raise SecondFactorRequired if they have it, but have not shown the second factor that it needs.
    """
    if not selectors.is_permitted(request.user, permission):
        return False
    if second_factor.is_asked(permission) and not second_factor.is_shown_by(request):
        raise rules.SecondFactorRequired()
    return True


def is_of_staff(request: Request, permission: str) -> bool:
    """Return whether `check_staff` allows the request; False also if only the second factor is missing."""
    try:
        return check_staff(request, permission)
    except rules.SecondFactorRequired:
        return False
