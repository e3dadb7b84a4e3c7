from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# Django's own table has no index on time.
ADMIN_LOG = "CREATE INDEX CONCURRENTLY IF NOT EXISTS journal_admin_log ON django_admin_log (action_time, id)"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("journal", "0001_initial"), ("admin", "0003_logentry_add_action_flag_choices")]

    operations = [
        AddIndexConcurrently(
            model_name="journalentry",
            index=models.Index(fields=["action", "at", "id"], name="journal_of_action"),
        ),
        migrations.RunSQL(ADMIN_LOG, "DROP INDEX CONCURRENTLY IF EXISTS journal_admin_log"),
    ]
