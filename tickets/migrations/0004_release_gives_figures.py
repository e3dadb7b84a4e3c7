from django.db import migrations

from tickets import sql


class Migration(migrations.Migration):
    dependencies = [("tickets", "0003_stats_counters")]

    operations = [
        # What a function returns cannot be replaced in place.
        migrations.RunSQL("DROP FUNCTION holds_release_due(bigint, integer)", migrations.RunSQL.noop),
        migrations.RunSQL(sql.text("holds_release_due"), migrations.RunSQL.noop),
    ]
