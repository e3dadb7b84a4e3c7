"""Find users by the address that they gave, without reading all of them."""

from django.db import migrations, models

import overlord.accounts.models

REMOVE = "DROP INDEX CONCURRENTLY IF EXISTS user_contact_email"  # an invalid one, if it was interrupted
MAKE = """
CREATE INDEX CONCURRENTLY user_contact_email ON accounts_user (accounts_name_key(contact_email)) WHERE contact_email <> ''
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0019_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL([REMOVE, MAKE], REMOVE)],
            state_operations=[
                migrations.AddIndex(
                    model_name="user",
                    index=models.Index(
                        overlord.accounts.models.NameKey("contact_email"),
                        condition=~models.Q(contact_email=""),
                        name="user_contact_email",
                    ),
                ),
            ],
        ),
    ]
