"""Keeps whether a request for a refund named no amount, so that its key refuses another body."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checkout", "0032_words")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="amount_left_out",
            field=models.BooleanField(
                help_text="Whether the request named no amount. Empty: this is not known.", null=True
            ),
        ),
    ]
