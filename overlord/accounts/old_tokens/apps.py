"""An app with only migrations, in the place of `rest_framework.authtoken`, which kept the API tokens before 0.2.

A frozen migration of accounts depends on the migrations of that app, so this app has the same label. In the end,
databases that ran those migrations and new databases are the same: the old table is gone, and its tokens are kept
as hashes in our own table (accounts/0005).
"""

from django.apps import AppConfig


class OldTokensConfig(AppConfig):
    name = "overlord.accounts.old_tokens"
    label = "authtoken"
