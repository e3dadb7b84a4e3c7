"""Remembers the history of the database, so that a restored one is noticed (realtime/worker/epoch.py)."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("realtime", "0002_session_ended")]

    operations = [
        migrations.RunSQL("CREATE TABLE realtime_history (history text NOT NULL)", "DROP TABLE realtime_history"),
    ]
