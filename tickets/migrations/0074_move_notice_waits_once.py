"""Lets a buyer be owed another mail about a move as soon as the mail about the earlier one was tried.

The former release inserts with ON CONFLICT DO NOTHING, without naming an index: each of the two serves it.
"""

from django.db import migrations, models

REMOVE = "DROP INDEX CONCURRENTLY IF EXISTS move_notice_waits_once"  # an invalid one, if it was interrupted
WAITS = """
CREATE UNIQUE INDEX CONCURRENTLY move_notice_waits_once ON tickets_movenotice (event_id, buyer_id)
 WHERE attempts = 0 AND next_look_at IS NOT NULL
"""
REMOVE_FORMER = "DROP INDEX CONCURRENTLY IF EXISTS move_notice_owed_once"
# The former release knows one mail at a time: the first, which says what the buyer knew before all moves.
FORMER = [
    REMOVE_FORMER,
    """
    UPDATE tickets_movenotice later SET next_look_at = NULL
     WHERE next_look_at IS NOT NULL
       AND EXISTS (SELECT FROM tickets_movenotice first
                    WHERE first.event_id = later.event_id AND first.buyer_id = later.buyer_id
                      AND first.id < later.id AND first.next_look_at IS NOT NULL)
    """,
    """
    CREATE UNIQUE INDEX CONCURRENTLY move_notice_owed_once ON tickets_movenotice (event_id, buyer_id)
     WHERE next_look_at IS NOT NULL
    """,
]


class Migration(migrations.Migration):
    atomic = False  # the index is made while mails are sent

    dependencies = [("tickets", "0073_key_of_batch")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL([REMOVE, WAITS], REMOVE),
                migrations.RunSQL(REMOVE_FORMER, FORMER),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="movenotice",
                    constraint=models.UniqueConstraint(
                        fields=["event", "buyer"],
                        condition=models.Q(next_look_at__isnull=False, attempts=0),
                        name="move_notice_waits_once",
                    ),
                ),
                migrations.RemoveConstraint(model_name="movenotice", name="move_notice_owed_once"),
            ],
        ),
    ]
