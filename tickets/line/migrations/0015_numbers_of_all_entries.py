"""Makes the two indexes that replace three others: none of them has a place or asks for one.

So the draw, which gives all entries of a line a place, writes no index. The next two migrations remove the former
indexes: each step is recorded by itself, so that a step that waits for a lock in vain never takes back one before.
"""

from django.db import migrations, models

NUMBERS = [
    "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_number",
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number",
    "CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_number ON line_entry (line_id, number)",
    "ALTER TABLE line_entry ADD CONSTRAINT entry_one_per_number UNIQUE USING INDEX entry_one_per_number",
]
NO_NUMBERS = "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_number"
HAD_A_TURN = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_had_a_turn",
    """
    CREATE INDEX CONCURRENTLY entry_had_a_turn
        ON line_entry (line_id) WHERE state = 'waiting' AND turn_at IS NOT NULL
    """,
]


class Migration(migrations.Migration):
    atomic = False  # the indexes are made while people enter

    dependencies = [("line", "0014_drawn_part")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(NUMBERS, NO_NUMBERS),
                migrations.RunSQL(HAD_A_TURN, "DROP INDEX CONCURRENTLY IF EXISTS entry_had_a_turn"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="entry",
                    constraint=models.UniqueConstraint(
                        fields=("line", "number"), name="entry_one_per_number"
                    ),
                ),
                migrations.AddIndex(
                    model_name="entry",
                    index=models.Index(
                        condition=models.Q(("state", "waiting"), ("turn_at__isnull", False)),
                        fields=["line"],
                        name="entry_had_a_turn",
                    ),
                ),
            ],
        ),
    ]
