"""The tokens that were kept before version 0.2, by the app `rest_framework.authtoken`: migrations alone.

A frozen migration of accounts depends on that app's migrations. This app has its label, so that databases that ran
them and new databases end alike: without its table, whose tokens live on as hashes (accounts/0005).
"""

from django.apps import AppConfig


class OldTokensConfig(AppConfig):
    name = "overlord.accounts.old_tokens"
    label = "authtoken"
