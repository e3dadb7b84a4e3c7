"""Removes the two indexes of buyers that `entry_waits_once` replaces."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

REMOVE = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_place_per_person",
    "DROP INDEX CONCURRENTLY IF EXISTS line_entry_buyer_id_0ccbbb7f",
]
FORMER = [
    *REMOVE,  # an invalid one is left where making it was interrupted
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_one_place_per_person
        ON line_entry (line_id, buyer_id) WHERE state = 'waiting'
    """,
    "CREATE INDEX CONCURRENTLY line_entry_buyer_id_0ccbbb7f ON line_entry (buyer_id)",
]


class Migration(migrations.Migration):
    atomic = False  # the indexes are removed while people enter

    dependencies = [
        ("line", "0011_numbers_before_the_draw"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(REMOVE, FORMER)],
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="entry_one_place_per_person"),
                migrations.AlterField(
                    model_name="entry",
                    name="buyer",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
    ]
