from django.db import migrations

from tickets import sql


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql.text("reservation_claim"),
            "DROP FUNCTION reservation_claim(bigint, bigint, integer, text, interval)",
        ),
        migrations.RunSQL(
            sql.text("holds_release_due"),
            "DROP FUNCTION holds_release_due(bigint, integer)",
        ),
        # Room on each page for the next version of its rows: a counter's change then touches no index.
        migrations.RunSQL(
            "ALTER TABLE tickets_inventory SET (fillfactor = 10, autovacuum_vacuum_threshold = 1000,"
            " autovacuum_vacuum_scale_factor = 0)",
            "ALTER TABLE tickets_inventory RESET (fillfactor, autovacuum_vacuum_threshold,"
            " autovacuum_vacuum_scale_factor)",
        ),
    ]
