"""Keeps what staff sell at the counter."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("checkout", "0026_order_deeds"),
        ("tickets", "0065_hidden_types"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CounterSale",
            fields=[
                (
                    "payment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="counter",
                        serialize=False,
                        to="checkout.payment",
                    ),
                ),
                ("is_free", models.BooleanField()),
                (
                    "key",
                    models.CharField(
                        help_text="Names the form, so that it sells once.", max_length=64, unique=True
                    ),
                ),
                ("at", models.DateTimeField()),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tickets.event"
                    ),
                ),
                (
                    "sold_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"permissions": [("sell_at_counter", "Can sell at the counter, for cash or free")]},
        ),
    ]
