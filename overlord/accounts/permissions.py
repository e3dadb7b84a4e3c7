"""How the API asks whether its actor has the permission for an action. Pages ask by `overlord.shop.permissions`."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from overlord.accounts import selectors


class StaffPermission(BasePermission):
    """Allow staff who have the permission that the view names in `permission`."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return selectors.is_permitted(request.user, view.permission)  # type: ignore[attr-defined]
