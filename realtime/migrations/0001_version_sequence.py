from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.RunSQL("CREATE SEQUENCE realtime_version", "DROP SEQUENCE realtime_version"),
    ]
