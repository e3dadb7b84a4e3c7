"""A migration that makes an index while others use its table, for the tests of `migrate`. It belongs to no app."""

from django.db import migrations


class Migration(migrations.Migration):
    initial = True
    atomic = False

    operations = [
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY migrate_trial_id ON migrate_trial (id)",
            "DROP INDEX CONCURRENTLY IF EXISTS migrate_trial_id",
        ),
    ]
