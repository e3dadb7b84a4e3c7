"""Lets a client repeat the request for a refund with a key, so that the money goes back once."""

from django.db import migrations, models
from django.db.models import Q

ONE_A_KEY = """
CREATE UNIQUE INDEX CONCURRENTLY refund_unique_idempotency_key ON checkout_refund (payment_id, idempotency_key)
 WHERE idempotency_key IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False  # the index is made while people buy

    dependencies = [("checkout", "0029_journal_indexes")]

    operations = [
        migrations.AddField(
            model_name="refund",
            name="idempotency_key",
            field=models.CharField(help_text="Of the request by API.", max_length=64, null=True),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(ONE_A_KEY, "DROP INDEX CONCURRENTLY refund_unique_idempotency_key"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="refund",
                    constraint=models.UniqueConstraint(
                        fields=["payment", "idempotency_key"],
                        condition=Q(idempotency_key__isnull=False),
                        name="refund_unique_idempotency_key",
                    ),
                ),
            ],
        ),
    ]
