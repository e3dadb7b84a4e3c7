-- An entry and the state of its line, as the owner sees them after entering. `sql.ENTER` calls this function together
-- with `line_enter`. It is volatile, so that it sees the row that `line_enter` has just written. It reads the two rows
-- one after the other, because a join of the two tables could begin with all entries of the line.
CREATE OR REPLACE FUNCTION line_entry_shown(p_entry bigint)
RETURNS TABLE (number integer, state text, place integer, entered_at timestamptz, served integer, per_minute integer,
               is_held boolean, is_standing boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_entry line_entry%ROWTYPE;
BEGIN
    SELECT * INTO v_entry FROM line_entry e WHERE e.id = p_entry;
    RETURN QUERY
    SELECT v_entry.number, v_entry.state::text, v_entry.place, v_entry.entered_at,
           l.served, l.per_minute, l.is_held, l.is_standing
      FROM line_line l WHERE l.event_id = v_entry.line_id;
END
$$;
