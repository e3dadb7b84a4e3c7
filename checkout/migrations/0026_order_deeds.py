"""Keeps who put tickets back on sale, and who tried a refund again."""

from django.db import migrations, models

BEFORE = ["note", "mail sent again", "address changed", "hold released"]
DEEDS = [*BEFORE, "put back on sale", "refund tried again"]


def known(deeds: list[str]) -> models.CheckConstraint:
    return models.CheckConstraint(condition=models.Q(("what__in", deeds)), name="order_record_deed_known")


class Migration(migrations.Migration):
    dependencies = [("checkout", "0025_view_attendees")]

    operations = [
        migrations.AlterField(
            model_name="orderrecord",
            name="what",
            field=models.CharField(choices=[(deed, deed) for deed in DEEDS], max_length=20),
        ),
        migrations.RemoveConstraint(model_name="orderrecord", name="order_record_deed_known"),
        migrations.AddConstraint(model_name="orderrecord", constraint=known(DEEDS)),
    ]
