from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("admission", "0006_holder_notices")]

    operations = [
        AddIndexConcurrently(
            model_name="scan",
            index=models.Index(
                fields=["undone_at", "id"],
                condition=models.Q(undone_at__isnull=False),
                name="scan_undone",
            ),
        ),
    ]
