from django.db import migrations, models
from django.db.models import F, Q

RENAME = """
ALTER INDEX payment_by_client RENAME TO payment_by_buyer;
ALTER INDEX incident_open_once_per_kind RENAME TO incident_open_once_per_cause;
"""
RENAME_BACK = """
ALTER INDEX payment_by_buyer RENAME TO payment_by_client;
ALTER INDEX incident_open_once_per_cause RENAME TO incident_open_once_per_kind;
"""


class Migration(migrations.Migration):
    """Give columns the words of the glossary. Constraints and indexes follow their columns by themselves; Django's
    record of them is taken down before the renaming and put up again after it."""

    dependencies = [("checkout", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint("payment", "payment_amount_not_negative"),
                migrations.RemoveConstraint("payment", "payment_refunded_at_most_its_amount"),
                migrations.RemoveIndex("payment", "payment_by_client"),
                migrations.RemoveConstraint("refund", "refund_amount_positive"),
                migrations.RemoveConstraint("incident", "incident_open_once_per_kind"),
            ],
        ),
        migrations.RenameField("payment", "client", "buyer"),
        migrations.RenameField("payment", "amount", "amount_minor"),
        migrations.RenameField("payment", "refunded", "refunded_minor"),
        migrations.RenameField("refund", "amount", "amount_minor"),
        migrations.RenameField("incident", "kind", "cause"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(RENAME, RENAME_BACK)],
            state_operations=[
                migrations.AddConstraint(
                    "payment",
                    models.CheckConstraint(
                        condition=Q(amount_minor__gte=0), name="payment_amount_not_negative"
                    ),
                ),
                migrations.AddConstraint(
                    "payment",
                    models.CheckConstraint(
                        condition=Q(refunded_minor__gte=0, refunded_minor__lte=F("amount_minor")),
                        name="payment_refunded_at_most_its_amount",
                    ),
                ),
                migrations.AddIndex(
                    "payment", models.Index(fields=["buyer", "-id"], name="payment_by_buyer")
                ),
                migrations.AddConstraint(
                    "refund",
                    models.CheckConstraint(condition=Q(amount_minor__gte=1), name="refund_amount_positive"),
                ),
                migrations.AddConstraint(
                    "incident",
                    models.UniqueConstraint(
                        fields=["payment", "cause"],
                        condition=Q(closed_at=None),
                        name="incident_open_once_per_cause",
                    ),
                ),
            ],
        ),
    ]
