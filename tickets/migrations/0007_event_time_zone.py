from django.db import migrations, models

import tickets.models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0006_plain_names")]

    operations = [
        # Existing events were shown in UTC.
        migrations.AddField("event", "time_zone", models.CharField(max_length=64, default="UTC")),
        migrations.AlterField(
            "event",
            "time_zone",
            models.CharField(
                max_length=64,
                default=tickets.models.default_time_zone,
                help_text="Dates and times of this event are entered and shown in this time zone.",
            ),
        ),
    ]
