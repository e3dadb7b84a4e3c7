"""Keeps which buyers are owed an e-mail about a refund."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checkout", "0005_failures_by_index")]

    operations = [
        migrations.CreateModel(
            name="RefundNotice",
            fields=[
                (
                    "refund",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="notice",
                        serialize=False,
                        to="checkout.refund",
                    ),
                ),
                ("attempts", models.IntegerField(default=0)),
                ("next_look_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_look_at__isnull", False)),
                        fields=["next_look_at"],
                        name="refund_notice_to_send",
                    )
                ],
            },
        ),
    ]
