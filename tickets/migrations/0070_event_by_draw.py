from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0069_voucher_index")]

    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["id"], condition=models.Q(opening="draw"), name="event_by_draw"),
        ),
    ]
