-- Draw the places of an event's line: close the list, take its digest, and rank the numbers by the key of each.
-- Return how many places were drawn. Return no row if the line is not in its lobby, for example because it was drawn
-- before; if its sale has not opened yet; or if the draw waits for a public value. In the last case the list is closed,
-- and its digest is public.
--
-- The entries are written in the order of their ids, which is their order in the table. The 50,000 entries of a large
-- line fit in the memory that sorting has here. Sorting by one column of bytes, the key, is the quickest. Entries
-- that are not drawn have no key.
--
-- People who enter after the list was closed come behind all others, in the order in which they entered. docs/line.md
-- states the rule; docs/verify_line.py has it in Python.
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql
SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND line_opens_at(p_event) <= clock_timestamp()
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
