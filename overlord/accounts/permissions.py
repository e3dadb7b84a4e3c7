"""What staff may be allowed to do with accounts, and how the API asks whether its actor has a permission.

Pages ask by `overlord.shop.permissions`.
"""

from enum import StrEnum

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from overlord.accounts import rules, selectors


class Permission(StrEnum):
    """Permissions as Django names them: the app, and the codename in the Meta of a model."""

    MANAGE_STAFF = rules.MANAGE_STAFF


class StaffPermission(BasePermission):
    """Allow staff who have the permission that the view names in `permission`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return selectors.is_permitted(request.user, view.permission)  # type: ignore[attr-defined]
