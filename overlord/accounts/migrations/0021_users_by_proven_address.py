"""Find users by the address that they have proven, without reading all of them."""

from django.db import migrations, models

import overlord.accounts.models

REMOVE = "DROP INDEX CONCURRENTLY IF EXISTS user_verified_email"  # an invalid one, if it was interrupted
MAKE = """
CREATE INDEX CONCURRENTLY user_verified_email ON accounts_user (accounts_name_key(verified_email)) WHERE verified_email <> ''
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0020_users_by_given_address")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([REMOVE, MAKE], REMOVE)],
            state_operations=[
                migrations.AddIndex(
                    model_name="user",
                    index=models.Index(
                        overlord.accounts.models.NameKey("verified_email"),
                        condition=~models.Q(verified_email=""),
                        name="user_verified_email",
                    ),
                ),
            ],
        ),
    ]
