"""Removes the constraint of numbers, for which the index of entries without a place is enough.

A number never changes, and the draw makes one place of each.
"""

from django.db import migrations

FORMER = [
    "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_number",
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number",
    "CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_number ON line_entry (line_id, number)",
    "ALTER TABLE line_entry ADD CONSTRAINT entry_one_per_number UNIQUE USING INDEX entry_one_per_number",
]


class Migration(migrations.Migration):
    atomic = False  # its reverse makes an index while people enter

    dependencies = [("line", "0010_fewer_indexes")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_number", FORMER
                )
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="entry_one_per_number"),
            ],
        ),
    ]
