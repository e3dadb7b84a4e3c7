"""Who somebody is."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from overlord.accounts.models import User


def user_of_session(*, session_key: str) -> User | None:
    """Will find the active user logged in by this session; None when there is none or it is stale."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None


def user_of_token(*, key: str) -> User | None:
    """Will find the active user whose API token this is."""
    token = Token.objects.select_related("user").filter(key=key, user__is_active=True).first()
    return token.user if token else None


def actor_id(request: Request) -> int:
    """Will give the id of the user a request is made by; raises NotAuthenticated for a stranger."""
    if request.user.pk is None:
        raise NotAuthenticated()
    return request.user.pk
