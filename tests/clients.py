"""Clients of the API in the process of the tests."""

from datetime import timedelta

from django.contrib.auth.models import Permission
from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts import services as accounts
from overlord.accounts.models import User


def token_of(user: User) -> str:
    """Return the key of a new API token of the user."""
    return accounts.token_issue(user=user, lifetime=timedelta(days=1), now=timezone.now())


def permit(user: User, *permissions: str) -> User:
    """Make the user staff with these permissions ("tickets.pause_sale")."""
    codenames = [permission.partition(".")[2] for permission in permissions]
    known = Permission.objects.filter(codename__in=codenames).select_related("content_type")
    found = {f"{each.content_type.app_label}.{each.codename}": each for each in known}
    user.user_permissions.add(*(found[permission] for permission in permissions))
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    return user


def api_of(user: User) -> APIClient:
    """Return a client that sends the user's token, as a program does."""
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {token_of(user)}")
    return api
