from django.db import migrations

from tickets import sql


class Migration(migrations.Migration):
    dependencies = [("tickets", "0004_release_gives_figures")]

    operations = [
        migrations.RunSQL(
            sql.text("sweep_glance"),
            "DROP FUNCTION sweep_glance(timestamptz, timestamptz, integer[])",
        ),
    ]
