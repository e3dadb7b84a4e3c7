"""Lets a ticket's holder be owed another mail about a move as soon as the earlier one was tried, and each issue its own.

The former release inserts with ON CONFLICT DO NOTHING, without naming an index: each of the two serves it.
"""

from django.db import migrations, models

REMOVE = "DROP INDEX CONCURRENTLY IF EXISTS holder_notice_waits_once"  # an invalid one, if it was interrupted
WAITS = """
CREATE UNIQUE INDEX CONCURRENTLY holder_notice_waits_once ON admission_holdernotice (ticket_id, issue, kind)
 WHERE attempts = 0 AND next_look_at IS NOT NULL
"""
REMOVE_FORMER = "DROP INDEX CONCURRENTLY IF EXISTS holder_notice_owed_once"
# The former release knows one mail of a kind at a time: the last issue's is for whoever has the ticket, and the first
# of these says what its reader knew before all moves.
FORMER = [
    REMOVE_FORMER,
    """
    UPDATE admission_holdernotice more SET next_look_at = NULL
     WHERE next_look_at IS NOT NULL
       AND EXISTS (SELECT FROM admission_holdernotice kept
                    WHERE kept.ticket_id = more.ticket_id AND kept.kind = more.kind
                      AND kept.next_look_at IS NOT NULL
                      AND (kept.issue > more.issue OR kept.issue = more.issue AND kept.id < more.id))
    """,
    """
    CREATE UNIQUE INDEX CONCURRENTLY holder_notice_owed_once ON admission_holdernotice (ticket_id, kind)
     WHERE next_look_at IS NOT NULL
    """,
]


class Migration(migrations.Migration):
    atomic = False  # the index is made while mails are sent

    dependencies = [("admission", "0009_scan_answer")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL([REMOVE, WAITS], REMOVE),
                migrations.RunSQL(REMOVE_FORMER, FORMER),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="holdernotice",
                    constraint=models.UniqueConstraint(
                        fields=["ticket", "issue", "kind"],
                        condition=models.Q(next_look_at__isnull=False, attempts=0),
                        name="holder_notice_waits_once",
                    ),
                ),
                migrations.RemoveConstraint(model_name="holdernotice", name="holder_notice_owed_once"),
            ],
        ),
    ]
