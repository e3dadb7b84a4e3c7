"""Gives the figures and the monitor a permission each."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("stats", "0002_plain_labels")]

    operations = [
        migrations.AlterModelOptions(
            name="reading",
            options={
                "permissions": [("view_stats", "Can see the figures"), ("view_monitor", "Can see the monitor")]
            },
        ),
    ]
