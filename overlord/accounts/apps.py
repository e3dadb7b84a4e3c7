from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "overlord.accounts"
    label = "accounts"
