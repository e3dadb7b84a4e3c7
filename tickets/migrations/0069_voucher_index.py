from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("tickets", "0068_vouchers")]

    operations = [
        AddIndexConcurrently(
            model_name="reservation",
            index=models.Index(
                fields=["voucher", "state"],
                condition=~models.Q(voucher=None),
                name="reservation_of_voucher",
            ),
        ),
    ]
