"""Clients of the API in the tests' own process."""

from datetime import timedelta

from django.utils import timezone
from rest_framework.test import APIClient

from overlord.accounts import services as accounts
from overlord.accounts.models import User


def token_of(user: User) -> str:
    """Return the key of a new API token of the user."""
    return accounts.token_issue(user=user, lifetime=timedelta(days=1), now=timezone.now())


def api_of(user: User) -> APIClient:
    """Return a client that sends the user's token, as a program does."""
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Token {token_of(user)}")
    return api
