"""Use cases of accounts."""

from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from rest_framework.authtoken.models import Token

from overlord.accounts import principals
from overlord.accounts.models import User
from overlord.kernel import db
from overlord.kernel.errors import Invalid


class InvalidCredentials(Invalid):
    code = "invalid_credentials"
    sentence = "Unknown user name or wrong password."


def _taken(field: str, sentence: str) -> Invalid:
    return Invalid(sentence, errors={field: [sentence]})


def user_register(*, username: str, email: str, password: str) -> User:
    """Will make a buyer's account; raises Invalid for a weak password and for a taken name or address."""
    user = User(username=User.normalize_username(username), email=User.objects.normalize_email(email))
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(errors={"password": error.messages}) from None
    user.set_password(password)
    taken = {
        "user_unique_username": _taken("username", "This user name is taken."),
        "accounts_user_username_key": _taken("username", "This user name is taken."),
        "user_unique_email": _taken("email", "There is an account with this e-mail address."),
    }
    with db.constraint_errors(taken), db.transaction():
        user.save()
    return user


def user_identify(*, username: str, password: str) -> User:
    """Will find the active user with this name and password; raises InvalidCredentials."""
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise InvalidCredentials()
    return user


def token_issue(*, user: User) -> str:
    """Will give the user's API token, made at its first use."""
    token, _ = Token.objects.get_or_create(user=user)
    return str(token.key)


def token_withdraw(*, key: str) -> None:
    """Will end an API token: whoever holds it must log in again."""
    Token.objects.filter(key=key).delete()
    principals.drop(key)  # other processes hear of it some milliseconds later
