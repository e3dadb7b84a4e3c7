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
    expires_at = serializers.DateTimeField(help_text="Until then the code counts.")


class CodeInput(serializers.Serializer):
    code = serializers.CharField(max_length=20, help_text="The six digits of the mail.")


class EmailVerified(serializers.Serializer):
    id = serializers.IntegerField(help_text="Another one than before if this address was proven before.")
    email = serializers.EmailField()
    token = serializers.CharField(allow_null=True, help_text="To use from now on, if the id is another one.")


class LoginInput(serializers.Serializer):
    username = serializers.CharField(max_length=EMAIL_LENGTH, help_text="The username or the e-mail address.")
    password = serializers.CharField(max_length=passwords.MAX_LENGTH, trim_whitespace=False)
    code = serializers.CharField(
        max_length=CODE_LENGTH,
        required=False,
        help_text="Of staff: a code of the authenticator app or a backup code, for a token with the second factor.",
    )


class Token(serializers.Serializer):
    id = serializers.IntegerField(source="number")
    created = InstantField(source="created_at")
    last_used = InstantField(
        source="last_used_at", allow_null=True, help_text="To ten minutes; null: not since it was made."
    )
    expires_at = InstantField()
    second_factor = serializers.BooleanField(help_text="Whether its log-in showed the second factor.")
    current = serializers.SerializerMethodField(help_text="Whether this request came with it.")

    def get_current(self, token: ApiToken) -> bool:
        return bool(token.key_hash == self.context["current"])


class LoggedIn(serializers.Serializer):
    token = serializers.CharField()
