"""A migration that needs a table for itself, for the tests of `migrate`: no app has it."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.RunSQL(
            "ALTER TABLE migrate_trial ADD COLUMN added int", "ALTER TABLE migrate_trial DROP COLUMN added"
        ),
    ]
