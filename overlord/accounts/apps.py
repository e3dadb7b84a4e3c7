from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "overlord.accounts"
    label = "accounts"

    def ready(self) -> None:
        from overlord.accounts import second_factor
        from overlord.accounts.permissions import Permission

        second_factor.protect(Permission)
