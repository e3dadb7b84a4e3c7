"""Writes a drawn entry into three indexes instead of five, and beside its former version.

The draw writes all entries of a line at once. A run that stopped half-way, at a lock or a crash, can be repeated.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Case, F, Q, When

WAITS_ONCE = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_waits_once",
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_waits_once
        ON line_entry (buyer_id, (CASE WHEN state = 'waiting' THEN line_id END))
    """,
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_place_per_person",
    "DROP INDEX CONCURRENTLY IF EXISTS line_entry_buyer_id_0ccbbb7f",
]
FORMER_WAITS_ONCE = [
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS line_entry_buyer_id_0ccbbb7f ON line_entry (buyer_id)",
    """
    CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS entry_one_place_per_person
        ON line_entry (line_id, buyer_id) WHERE state = 'waiting'
    """,
    "DROP INDEX CONCURRENTLY IF EXISTS entry_waits_once",
]
NUMBERS = [
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number_undrawn",
    """
    CREATE UNIQUE INDEX CONCURRENTLY entry_one_per_number_undrawn
        ON line_entry (line_id, number) WHERE place IS NULL
    """,
    "ALTER TABLE line_entry DROP CONSTRAINT IF EXISTS entry_one_per_number",
]
FORMER_NUMBERS = [
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS entry_one_per_number ON line_entry (line_id, number)",
    "ALTER TABLE line_entry ADD CONSTRAINT entry_one_per_number UNIQUE USING INDEX entry_one_per_number",
    "DROP INDEX CONCURRENTLY IF EXISTS entry_one_per_number_undrawn",
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

    dependencies = [
        ("line", "0009_entering"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(ROOM, NO_ROOM),
        migrations.RunSQL(LINE_DRAW, FORMER_LINE_DRAW),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(WAITS_ONCE, FORMER_WAITS_ONCE),
                migrations.RunSQL(NUMBERS, FORMER_NUMBERS),
            ],
            state_operations=[
                migrations.RemoveConstraint(model_name="entry", name="entry_one_place_per_person"),
                migrations.RemoveConstraint(model_name="entry", name="entry_one_per_number"),
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
