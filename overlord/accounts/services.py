"""Use cases of accounts."""

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework.authtoken.models import Token

from overlord.accounts import token_cache
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import Invalid


class InvalidCredentials(Invalid):
    code = "invalid_credentials"
    sentence = "Wrong username or password."


def _taken(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, errors={field: [sentence]})


def user_register(*, username: str, email: str, password: str) -> User:
    """Create an account; raise Invalid for a weak password and for a taken username or e-mail address."""
    user = User(username=User.normalize_username(username), email=User.objects.normalize_email(email))
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(errors={"password": error.messages}) from None
    user.set_password(password)
    taken = {
        "user_unique_username": _taken("username", "This username is taken."),
        "accounts_user_username_key": _taken("username", "This username is taken."),
        "user_unique_email": _taken("email", "There is already an account with this e-mail address."),
    }
    with db.constraint_errors(taken), db.transaction():
        user.save()
    return user


def user_identify(*, username: str, password: str) -> User:
    """Find the active user with this username and password; raise InvalidCredentials."""
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
