"""Use cases of accounts."""

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework.authtoken.models import Token

from overlord.accounts import token_cache
from overlord.accounts.models import TAKEN, User
from overlord.kernel import db
from overlord.kernel.errors import Invalid


class InvalidCredentials(Invalid):
    code = "invalid_credentials"
    sentence = "Wrong username, e-mail or password."


# What the database says of two registrations at the same moment.
_TAKEN = {
    name: Invalid(errors={field: [str(TAKEN[field])]})
    for name, field in {
        "user_unique_username": "username",
        "accounts_user_username_key": "username",
        "user_unique_email": "email",
    }.items()
}


def user_register(*, username: str, email: str, password: str) -> User:
    """Create an account; raise Invalid for malformed or taken names and for a weak password, by field."""
    user = User(username=username, email=User.objects.normalize_email(email))
    errors: dict[str, list[str]] = {}
    try:
        user.clean_names()
    except ValidationError as error:
        errors |= error.message_dict
    try:
        validate_password(password, user)
    except ValidationError as error:
        errors["password"] = error.messages
    if errors:
        raise Invalid(errors=errors)
    user.set_password(password)
    with db.constraint_errors(_TAKEN), db.transaction():
        user.save()
    return user


def user_identify(*, username: str, password: str) -> User:
    """Find the active user with this username or e-mail address, and this password; raise InvalidCredentials."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials()
    return user


def token_issue(*, user: User) -> str:
    """Return the user's API token; create it the first time."""
    token, _ = Token.objects.get_or_create(user=user)
    return str(token.key)


def token_end(*, key: str) -> None:
    """End an API token, so that its holder must log in again."""
    Token.objects.filter(key=key).delete()
    token_cache.drop(key)  # other processes are notified some milliseconds later
