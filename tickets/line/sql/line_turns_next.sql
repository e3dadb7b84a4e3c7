-- The entries of a drawn line whose turn comes next, at most `p_most`, in the order of their places. First come the
-- drawn entries, part by part, then those that entered later, whose places are their numbers. Parts that are not needed
-- are not read.
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
