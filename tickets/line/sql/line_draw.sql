-- Draw the places of an event's line: close the list, take its digest, and rank the numbers by the key of each.
-- Return how many places there are; no row when the line is not in its lobby, as after a draw, or the
-- sale does not open yet.
--
-- docs/line.md says the rule; tickets/line/rules.py says it in Python.
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
