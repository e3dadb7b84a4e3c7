"""Removes the constraint of places: the draw ranks numbers, of which each is there once, and later places are numbers."""

from django.db import migrations

FORMER = [
    "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_place",
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_place",
    "CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_place ON line_entry (line_id, place)",
    "ALTER TABLE line_entry ADD CONSTRAINT entry_one_per_place UNIQUE USING INDEX entry_one_per_place",
]


class Migration(migrations.Migration):
    atomic = False  # its reverse makes an index while people enter

    dependencies = [("line", "0015_numbers_of_all_entries")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL("ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_place", FORMER)
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="entry_one_per_place"),
            ],
        ),
    ]
