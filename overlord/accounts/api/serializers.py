"""The bodies of requests and answers in the accounts API."""

from rest_framework import serializers

from overlord.accounts import passwords
from overlord.accounts.models import ApiToken
from overlord.kernel.serializer_fields import InstantField
from overlord.kernel.texts import EMAIL_LENGTH

USERNAME_LENGTH = 150
CODE_LENGTH = 40


class RegisterInput(serializers.Serializer):
    username = serializers.CharField(max_length=USERNAME_LENGTH)
    email = serializers.EmailField(max_length=EMAIL_LENGTH)
    password = serializers.CharField(
        min_length=passwords.MIN_LENGTH, max_length=passwords.MAX_LENGTH, trim_whitespace=False
    )


class Registered(serializers.Serializer):
    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.EmailField()


class Guest(serializers.Serializer):
    id = serializers.IntegerField()
    token = serializers.CharField()


class EmailInput(serializers.Serializer):
    email = serializers.EmailField(max_length=EMAIL_LENGTH)


class EmailAsked(serializers.Serializer):
    email = serializers.EmailField()
    expires_at = serializers.DateTimeField(help_text="The time until which the code is valid.")


class CodeInput(serializers.Serializer):
    code = serializers.CharField(max_length=20, help_text="The code of six digits from the mail.")


class EmailVerified(serializers.Serializer):
    id = serializers.IntegerField(
        help_text=(
            "The id of the guest. It is a different one if the address was verified earlier for"
            " another guest."
        )
    )
    email = serializers.EmailField()
    token = serializers.CharField(
        allow_null=True, help_text="The token to use from now on, if the id is a different one."
    )


class LoginInput(serializers.Serializer):
    username = serializers.CharField(max_length=EMAIL_LENGTH, help_text="The username or the e-mail address.")
    password = serializers.CharField(max_length=passwords.MAX_LENGTH, trim_whitespace=False)
    code = serializers.CharField(
        max_length=CODE_LENGTH,
        required=False,
        help_text=(
            "For staff: a code from the authenticator app or a backup code. The token then has the"
            " second factor."
        ),
    )


class Token(serializers.Serializer):
    id = serializers.IntegerField(source="number")
    created = InstantField(source="created_at")
    last_used = InstantField(
        source="last_used_at",
        allow_null=True,
        help_text=(
            "When the token was last used, with a precision of ten minutes. Null if it was used only in"
            " the first ten minutes after it was created, or not at all."
        ),
    )
    expires_at = InstantField()
    second_factor = serializers.BooleanField(help_text="Whether the person logged in with the second factor.")
    current = serializers.SerializerMethodField(help_text="Whether this request was made with this token.")

    def get_current(self, token: ApiToken) -> bool:
        return bool(token.key_hash == self.context["current"])


class LoggedIn(serializers.Serializer):
    token = serializers.CharField()
