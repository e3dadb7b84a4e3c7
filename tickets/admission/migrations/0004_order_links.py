import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("admission", "0003_scans")]

    operations = [
        migrations.CreateModel(
            name="OrderLink",
            fields=[
                (
                    "reservation",
                    models.OneToOneField(
                        help_text="The order.",
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tickets.reservation",
                    ),
                ),
                ("number", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("number__gte", 2)), name="order_link_number_rises")
                ],
            },
        ),
    ]
