"""Lets the monitor's feed find the latest payments that failed by an index."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("checkout", "0010_payment_of_a_lead")]

    operations = [
        migrations.AddIndex(
            model_name="paymentstep",
            index=models.Index(
                condition=models.Q(("status", "FAILURE")), fields=["id"], name="payment_step_failed"
            ),
        ),
    ]
