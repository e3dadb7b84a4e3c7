"""Keeps that the money of a refund which the gateway refused went back outside of this shop, as staff recorded."""

from django.db import migrations, models

BEFORE = [
    "note",
    "mail sent again",
    "address changed",
    "hold released",
    "put back on sale",
    "refund tried again",
]
DEEDS = [*BEFORE, "paid back elsewhere"]


def known(deeds: list[str]) -> models.CheckConstraint:
    return models.CheckConstraint(condition=models.Q(("what__in", deeds)), name="order_record_deed_known")


class Migration(migrations.Migration):
    dependencies = [("checkout", "0030_refund_key")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="elsewhere",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Staff recorded that the money went back outside of this shop.",
            ),
        ),
        migrations.AlterField(
            model_name="orderrecord",
            name="what",
            field=models.CharField(choices=[(deed, deed) for deed in DEEDS], max_length=20),
        ),
        migrations.RemoveConstraint(model_name="orderrecord", name="order_record_deed_known"),
        migrations.AddConstraint(model_name="orderrecord", constraint=known(DEEDS)),
    ]
