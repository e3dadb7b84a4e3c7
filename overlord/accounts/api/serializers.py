"""The bodies of the accounts API."""

from rest_framework import serializers

from overlord.accounts import passwords

USERNAME_LENGTH = 150
EMAIL_LENGTH = 254
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


class LoginInput(serializers.Serializer):
    username = serializers.CharField(max_length=EMAIL_LENGTH, help_text="The username or the e-mail address.")
    password = serializers.CharField(max_length=passwords.MAX_LENGTH, trim_whitespace=False)
    code = serializers.CharField(
        max_length=CODE_LENGTH,
        required=False,
        help_text="Of staff: a code of the authenticator app or a backup code, for a token with the second factor.",
    )


class LoggedIn(serializers.Serializer):
    token = serializers.CharField()
