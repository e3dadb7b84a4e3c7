"""Keeps the readings of the last minute, so that the monitor counts sixty seconds and not a minute of the clock."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("stats", "0003_permissions")]

    operations = [
        migrations.AddField(
            model_name="reading",
            name="recent",
            field=models.JSONField(
                null=True, help_text="The readings of the last minute: lists of an instant, reserved and paid."
            ),
        ),
    ]
