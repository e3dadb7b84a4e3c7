"""Adds the order of a draw's places in parts, which the giver writes and reads. So no index of places is needed."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

LINE_TURNS_NEXT = r"""
CREATE OR REPLACE FUNCTION line_turns_next(p_event bigint, p_served integer, p_most integer)
RETURNS TABLE (entry bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_entries bigint[];
    v_left integer := p_most;
    v_found integer;
BEGIN
    FOR v_entries IN
        SELECT p.entries FROM line_drawnpart p
         WHERE p.line_id = p_event AND p.last_place > p_served ORDER BY p.last_place
    LOOP
        RETURN QUERY
        SELECT e.id FROM line_entry e
         WHERE e.id = ANY (v_entries) AND e.place > p_served AND e.state = 'waiting' AND e.turn_at IS NULL
         ORDER BY e.place LIMIT v_left;
        GET DIAGNOSTICS v_found = ROW_COUNT;
        v_left := v_left - v_found;
        EXIT WHEN v_left = 0;
    END LOOP;
    RETURN QUERY
    SELECT e.id FROM line_entry e
     WHERE e.line_id = p_event AND e.state = 'waiting' AND e.turn_at IS NULL
       AND e.number > (SELECT GREATEST(l.drawn, p_served) FROM line_line l WHERE l.event_id = p_event)
     ORDER BY e.number LIMIT v_left;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("line", "0013_given_comes_first")]

    operations = [
        migrations.CreateModel(
            name="DrawnPart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("last_place", models.IntegerField()),
                (
                    "entries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), help_text="Their ids.", size=None
                    ),
                ),
                (
                    "line",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="line.line",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("line", "last_place"), name="drawn_part_one_per_place")
                ],
            },
        ),
        migrations.RunSQL(LINE_TURNS_NEXT, "DROP FUNCTION line_turns_next(bigint, integer, integer)"),
    ]
