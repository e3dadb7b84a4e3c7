"""The reads of accounts: users by session, token, request or address, their rights, staff and invitations."""

import hashlib
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db.models import F, Q, QuerySet, Value
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request

from overlord.accounts.models import ApiToken, BackupCode, NameKey, SecondFactor, StaffInvitation, User
from overlord.accounts.rules import Rights
from overlord.kernel import db
from overlord.kernel.texts import name_key

TOKENS_SHOWN = 200


def users_of_sessions(*, session_keys: Collection[str]) -> dict[str, User]:
    """Return the active users of those sessions that are valid, by session key.

    It makes two queries for any number of keys, because the sessions of all open sockets are checked repeatedly.
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
        if user_id in users and _is_current(users[user_id], sessions[key])
    }


def _is_current(user: User, session: Mapping[str, Any]) -> bool:
    """Return whether the session was opened in the user's current login epoch."""
    opened_with = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(opened_with, known) for known in hashes)


def account_key(*, username: str) -> str:
    """Return a text that is the same for the username and the e-mail address of one account.

    If there is no such account, the text contains the name itself. The limits of log-ins count by this text.
    """
    try:
        return f"user {User.objects.get_by_natural_key(username).pk}"
    except User.DoesNotExist:
        return "name " + name_key(username)


def mailbox_key(*, email: str) -> str:
    """Return a text that is the same for all e-mail addresses that lead to one mailbox."""
    [row] = db.rows("SELECT accounts_person_key(%s) AS key", [email])
    return str(row["key"])


def buyer_named(text: str, *, through: str = "") -> Q:
    """Return the condition that the name or an e-mail address of a buyer contains a text.

    `through` is the path from the queried model to the user, such as "buyer__".
    """
    named = Q()
    for field in ("username", "email", "contact_name", "contact_email"):
        named |= Q(**{f"{through}{field}__icontains": text})
    return named


def username_for(*, email: str) -> str:
    """Return a free username for a new account: the address up to its @; if it is taken, with random characters."""
    base = re.sub(r"[^\w.+-]", "", email.partition("@")[0])[:100] or "buyer"
    is_taken = User.objects.filter(username_key=NameKey(Value(base))).exists()
    return f"{base}-{secrets.token_hex(4)}" if is_taken else base


def user_id_to_reset(*, email: str) -> int | None:
    """Return the id of the active user with this e-mail address and a password; None if there is none."""
    found = User.objects.filter(email_key=NameKey(Value(email)), is_active=True).first()
    return found.pk if found is not None and found.has_usable_password() else None


def is_email_of_account(*, email: str) -> bool:
    """Return whether an active account has this e-mail address."""
    return User.objects.filter(email_key=NameKey(Value(email)), is_active=True).exists()


def others_with(*, address: str, user_id: int) -> QuerySet[User]:
    """Select all other accounts and guests that have this e-mail address, in the order of their ids."""
    key = NameKey(Value(address))
    others = User.objects.exclude(pk=user_id).alias(
        contact_key=NameKey("contact_email"), verified_key=NameKey("verified_email")
    )
    # The first part of each condition is the condition of a partial index. Without it, PostgreSQL could not use the
    # index.
    contact = ~Q(contact_email="") & Q(contact_key=key)
    verified = ~Q(verified_email="") & Q(verified_key=key)
    return others.filter(Q(email_key=key) | contact | verified).order_by("pk")


def users_of_tokens(*, key_hashes: Collection[str]) -> dict[str, User]:
    """Return the active users of those API tokens that are valid, by the hash of the token's key."""
    tokens = ApiToken.objects.select_related("user").filter(
        key_hash__in=key_hashes,
        login_epoch=F("user__login_epoch"),
        expires_at__gt=timezone.now(),
        user__is_active=True,
    )
    return {token.key_hash: token.user for token in tokens}


def tokens_of(*, user_id: int, most: int | None = None) -> list[ApiToken]:
    """Return the valid API tokens of a user, the newest first; at most `most` if it is given."""
    found = ApiToken.objects.filter(
        user=user_id, login_epoch=F("user__login_epoch"), expires_at__gt=timezone.now()
    )
    return list(found.order_by("-created_at", "key_hash")[:most])


def guest_id_of(request: Request) -> int | None:
    """Return the id of the guest who makes a request, by token or session; None if no guest makes it.

    Views with empty `authentication_classes` use this, because their `request.user` is always anonymous.
    """
    token = ApiToken.hash_in(get_authorization_header(request))
    if token is not None:
        user: Any = next(iter(users_of_tokens(key_hashes=[token]).values()), None)
    else:
        user = get_user(request._request)
    return user.pk if getattr(user, "is_guest", False) else None


_PERMITTED = "SELECT accounts_permitted(%(users)s, %(app)s, %(codename)s) AS id"


def permitted(*, user_ids: Collection[int], permission: str) -> set[int]:
    """Return the ids of those users who are active staff and have a permission, such as "tickets.pause_sale".

    Staff have a permission themselves or by a role. A superuser has all.
    """
    app, codename = permission.split(".")
    found = db.rows(_PERMITTED, {"users": list(user_ids), "app": app, "codename": codename})
    return {row["id"] for row in found}


def is_permitted(user: Any, permission: str) -> bool:
    """Return whether the user of a request is active staff who has a permission."""
    return user.is_staff and bool(permitted(user_ids=[user.pk], permission=permission))


def actor_id(request: Request | HttpRequest) -> int:
    """Return the id of the user who makes the request; raise NotAuthenticated when nobody is logged in."""
    if request.user.pk is None:
        raise NotAuthenticated()
    return request.user.pk


# Staff ---------------------------------------------------------------------------------------------------
def staff() -> list[User]:
    """Return the active staff in the order of their names, with their roles and permissions already read."""
    found = User.objects.filter(is_staff=True, is_active=True).order_by("username_key")
    return list(found.prefetch_related(*_RIGHTS))


def staff_person(*, user_id: int) -> User | None:
    """Return one of the active staff, with roles and permissions already read; None if there is none."""
    found = User.objects.filter(pk=user_id, is_staff=True, is_active=True)
    return found.prefetch_related(*_RIGHTS).first()


_RIGHTS = ("groups__permissions__content_type", "user_permissions__content_type")


def rights(user: User) -> Rights:
    """Return the rights of a user. For a user whom `staff` or `staff_person` returned, it makes no query."""
    groups = [permission for group in user.groups.all() for permission in group.permissions.all()]
    return Rights(permissions=_names([*groups, *user.user_permissions.all()]), is_superuser=user.is_superuser)


def rights_of(*, user_id: int) -> Rights:
    """Read and return the rights of a user."""
    return rights(User.objects.prefetch_related(*_RIGHTS).get(pk=user_id))


def roles() -> dict[int, tuple[Group, Rights]]:
    """Return all roles by id, each with its rights, in the order of their names."""
    found = Group.objects.order_by("name").prefetch_related("permissions__content_type")
    return {each.pk: (each, Rights(permissions=_names(each.permissions.all()))) for each in found}


def _names(permissions: Iterable[Permission]) -> frozenset[str]:
    """Return permissions as texts, such as "tickets.pause_sale"."""
    return frozenset(f"{each.content_type.app_label}.{each.codename}" for each in permissions)


def access_version(*, user_id: int) -> str:
    """Return a text that changes when the rights of a user change.

    A form contains this text. When the form is sent, the server compares this text with the current one.
    """
    return _version(_access(User.objects.get(pk=user_id)))


def account_version(user: User) -> str:
    """Return a text that changes when a value in the admin's form of a user changes. The form contains the text."""
    shown = [user.username, user.first_name, user.last_name, user.email, user.is_active, user.date_joined]
    return _version([*shown, *_access(user)])


def _access(user: User) -> list[Any]:
    return [
        user.is_staff,
        user.is_superuser,
        *sorted(user.groups.values_list("pk", flat=True)),
        "own",
        *sorted(user.user_permissions.values_list("pk", flat=True)),
    ]


def _version(values: list[Any]) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def invitations() -> list[StaffInvitation]:
    """Return the invitations that nobody accepted or withdrew, also expired ones, the newest first."""
    found = StaffInvitation.objects.filter(StaffInvitation.OPEN).order_by("-pk")
    return list(found.select_related("role", "invited_by"))


def account_of(*, email: str) -> User | None:
    """Return the active account with this e-mail address; None if there is none."""
    return User.objects.filter(email_key=NameKey(Value(email)), is_active=True, is_guest=False).first()


def second_factor(*, user_id: int) -> SecondFactor | None:
    """Return the second factor of a user; None if there is none."""
    return SecondFactor.objects.filter(pk=user_id).first()


def backup_codes_left(*, user_id: int) -> int:
    """Return how many backup codes a user has not used yet."""
    return BackupCode.objects.filter(user=user_id).count()
