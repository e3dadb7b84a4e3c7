"""Makes the two indexes that replace three others, and leaves room in each page for the new version of an entry.

The draw writes all entries of a line at once, each into every index. The next two migrations remove the former
indexes: each step is recorded by itself, so that a step that waits for a lock in vain never takes back one before.
"""

from django.db import migrations, models
from django.db.models import Case, F, Q, When

WAITS_ONCE = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_waits_once",
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_waits_once
        ON line_entry (buyer_id, (CASE WHEN state = 'waiting' THEN line_id END))
    """,
]
NUMBERS = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number_undrawn",
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_number_undrawn
        ON line_entry (line_id, number) WHERE place IS NULL
    """,
]
ROOM = "ALTER TABLE line_entry SET (fillfactor = 45)"
NO_ROOM = "ALTER TABLE line_entry RESET (fillfactor)"

LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql
SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event AND NOT t.hidden) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.digest IS NULL THEN
        UPDATE line_line l
           SET drawn = l.entered, digest = (
                   SELECT encode(sha256(convert_to(COALESCE(string_agg(
                              e.number || ' '
                              || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                              E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
                     FROM line_entry e WHERE e.line_id = p_event)
         WHERE l.event_id = p_event RETURNING * INTO v_line;
    END IF;
    IF v_line.public_name <> '' AND v_line.public_value IS NULL THEN
        RETURN;
    END IF;
    v_mixed := v_line.seed || ' ' || v_line.digest || ' ' || COALESCE(v_line.public_value || ' ', '');
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY CASE WHEN d.number <= v_line.drawn
                       THEN sha256(convert_to(v_mixed || d.number, 'UTF8')) END NULLS LAST, d.number) AS place
              FROM line_entry d WHERE d.line_id = p_event
             ORDER BY d.id) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l SET phase = 'serving', drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""

FORMER_LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql
SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event AND NOT t.hidden) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.digest IS NULL THEN
        UPDATE line_line l
           SET drawn = l.entered, digest = (
                   SELECT encode(sha256(convert_to(COALESCE(string_agg(
                              e.number || ' '
                              || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                              E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
                     FROM line_entry e WHERE e.line_id = p_event)
         WHERE l.event_id = p_event RETURNING * INTO v_line;
    END IF;
    IF v_line.public_name <> '' AND v_line.public_value IS NULL THEN
        RETURN;
    END IF;
    v_mixed := v_line.seed || ' ' || v_line.digest || ' ' || COALESCE(v_line.public_value || ' ', '');
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY d.number > v_line.drawn,
                       CASE WHEN d.number <= v_line.drawn
                            THEN sha256(convert_to(v_mixed || d.number, 'UTF8')) END, d.number) AS place
              FROM line_entry d WHERE d.line_id = p_event
             ORDER BY d.id) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l SET phase = 'serving', drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""


class Migration(migrations.Migration):
    atomic = False  # the indexes are made while people enter

    dependencies = [("line", "0009_entering")]

    operations = [
        migrations.RunSQL(ROOM, NO_ROOM),
        migrations.RunSQL(LINE_DRAW, FORMER_LINE_DRAW),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(WAITS_ONCE, "DROP INDEX CONCURRENTLY IF EXISTS entry_waits_once"),
                migrations.RunSQL(NUMBERS, "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number_undrawn"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="entry",
                    constraint=models.UniqueConstraint(
                        F("buyer"), Case(When(state="waiting", then=F("line"))), name="entry_waits_once"
                    ),
                ),
                migrations.AddConstraint(
                    model_name="entry",
                    constraint=models.UniqueConstraint(
                        condition=Q(("place", None)),
                        fields=("line", "number"),
                        name="entry_one_per_number_undrawn",
                    ),
                ),
            ],
        ),
    ]
