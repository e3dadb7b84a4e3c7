"""Removes the two indexes with places that `entry_one_per_number` and `entry_had_a_turn` replace."""

from django.db import migrations

REMOVE = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number_undrawn",
    "DROP INDEX CONCURRENTLY IF EXISTS entry_turn_came",
]
FORMER = [
    *REMOVE,  # an invalid one is left where making it was interrupted
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_number_undrawn
        ON line_entry (line_id, number) WHERE place IS NULL
    """,
    """
    CREATE INDEX CONCURRENTLY entry_turn_came
        ON line_entry (line_id, place) WHERE state = 'waiting' AND turn_at IS NOT NULL
    """,
]


class Migration(migrations.Migration):
    atomic = False  # the indexes are removed while people enter

    dependencies = [("line", "0016_places_without_an_index")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(REMOVE, FORMER)],
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="entry_one_per_number_undrawn"),
                migrations.RemoveIndex(model_name="entry", name="entry_turn_came"),
            ],
        ),
    ]
