from django.db import migrations

LINE_ENTER = """
CREATE OR REPLACE FUNCTION line_enter(p_event bigint, p_buyer bigint, p_choices jsonb)
RETURNS TABLE (entry bigint, is_new boolean, due boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
BEGIN
    UPDATE line_entry e SET choices = p_choices
     WHERE e.line_id = p_event AND e.buyer_id = p_buyer AND e.state = 'waiting' RETURNING e.id INTO entry;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.phase = 'lobby' AND (
        SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event
    ) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
    END IF;

    -- Under the lock and with a new snapshot: another request of theirs may have been quicker. Who left the lobby and
    -- comes again before the draw has the same number.
    UPDATE line_entry e SET choices = p_choices, state = 'waiting'
     WHERE e.line_id = p_event AND e.buyer_id = p_buyer
       AND (e.state = 'waiting' OR (e.state = 'left' AND v_line.phase = 'lobby'))
    RETURNING e.id INTO entry;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    UPDATE line_line l
       SET entered = l.entered + 1, phase = CASE l.phase WHEN 'open' THEN 'serving' ELSE l.phase END
     WHERE l.event_id = p_event RETURNING * INTO v_line;
    INSERT INTO line_entry AS e (line_id, buyer_id, number, place, state, choices, entered_at)
    VALUES (p_event, p_buyer, v_line.entered, CASE WHEN v_line.phase <> 'lobby' THEN v_line.entered END, 'waiting',
            p_choices, clock_timestamp())
    RETURNING e.id, true INTO entry, is_new;
    RETURN NEXT;
END
$$;
"""

LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_digest text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT encode(sha256(convert_to(COALESCE(string_agg(
               e.number || ' ' || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
      INTO v_digest FROM line_entry e WHERE e.line_id = p_event;
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY
                       sha256(convert_to(v_line.seed || ' ' || v_digest || ' ' || d.number, 'UTF8'))) AS place
              FROM line_entry d WHERE d.line_id = p_event) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l
       SET phase = 'serving', digest = v_digest, drawn = l.entered, drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("line", "0001_initial")]

    operations = [
        migrations.RunSQL(
            [LINE_ENTER, LINE_DRAW],
            ["DROP FUNCTION line_enter(bigint, bigint, jsonb)", "DROP FUNCTION line_draw(bigint)"],
        )
    ]
