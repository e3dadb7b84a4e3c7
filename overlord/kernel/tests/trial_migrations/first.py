"""A migration that locks a whole table, for the tests of `migrate`. It belongs to no app."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.RunSQL(
            "ALTER TABLE migrate_trial ADD COLUMN added int", "ALTER TABLE migrate_trial DROP COLUMN added"
        ),
    ]
