"""Gives each action of staff on money a permission of its own."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("checkout", "0020_gateway_nonce")]

    operations = [
        migrations.AlterModelOptions(
            name="incident", options={"permissions": [("close_incident", "Can close incidents")]}
        ),
        migrations.AlterModelOptions(
            name="payment", options={"permissions": [("refund_payment", "Can refund payments")]}
        ),
        migrations.AlterModelOptions(
            name="refund", options={"permissions": [("retry_refund", "Can retry refunds that failed")]}
        ),
    ]
