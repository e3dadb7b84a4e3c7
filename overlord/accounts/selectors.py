"""Who somebody is."""

from collections.abc import Collection, Mapping
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from overlord.accounts.models import User


def users_of_sessions(*, session_keys: Collection[str]) -> dict[str, User]:
    """Will find the active users logged in by these sessions, by key; stale sessions are left out.

    Two queries however many there are: sockets are asked again and again.
    """
    sessions = {
        row.session_key: row.get_decoded()
        for row in Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    }
    ids: dict[str, str] = {key: data[SESSION_KEY] for key, data in sessions.items() if SESSION_KEY in data}
    users = {str(user.pk): user for user in User.objects.filter(pk__in=ids.values(), is_active=True)}
    return {
        key: users[user_id]
        for key, user_id in ids.items()
        if user_id in users and _logged_in_still(users[user_id], sessions[key])
    }


def _logged_in_still(user: User, session: Mapping[str, Any]) -> bool:
    """A changed password ends the sessions that were begun with the old one."""
    begun_with = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(begun_with, known) for known in hashes)


def users_of_tokens(*, keys: Collection[str]) -> dict[str, User]:
    """Will find the active users whose API tokens these are, by key."""
    tokens = Token.objects.select_related("user").filter(key__in=keys, user__is_active=True)
    return {token.key: token.user for token in tokens}


def actor_id(request: Request | HttpRequest) -> int:
    """Will give the id of the user a request is made by; raises NotAuthenticated for a stranger."""
    if request.user.pk is None:
        raise NotAuthenticated()
    return request.user.pk
