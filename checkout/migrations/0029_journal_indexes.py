from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("checkout", "0028_cancellations")]

    operations = [
        AddIndexConcurrently(
            model_name="refund",
            index=models.Index(
                fields=["created", "id"],
                condition=models.Q(requested_by__isnull=False),
                name="refund_by_staff",
            ),
        ),
        AddIndexConcurrently(
            model_name="countersale",
            index=models.Index(fields=["at", "payment"], name="counter_sale_by_time"),
        ),
        AddIndexConcurrently(
            model_name="orderrecord",
            index=models.Index(fields=["at", "id"], name="order_record_by_time"),
        ),
    ]
