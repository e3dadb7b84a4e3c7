"""Keeps what the pace of a line is measured from. What was measured otherwise before is forgotten."""

from django.db import migrations, models

FORGET = "UPDATE line_line SET per_minute = COALESCE(most_per_minute, 0), moved_at = NULL"


class Migration(migrations.Migration):
    dependencies = [("line", "0006_one_place_per_address")]

    operations = [
        migrations.AddField(
            model_name="line",
            name="measured_places",
            field=models.FloatField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="line",
            name="measured_seconds",
            field=models.FloatField(db_default=0, default=0, editable=False),
        ),
        migrations.AlterField(
            model_name="line",
            name="moved_at",
            field=models.DateTimeField(editable=False, help_text="Up to when its time is used.", null=True),
        ),
        migrations.AlterField(
            model_name="line",
            name="per_minute",
            field=models.IntegerField(
                default=0, editable=False, help_text="The pace that people read; 0: not known."
            ),
        ),
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
    ]
