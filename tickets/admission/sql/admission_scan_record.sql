-- Record a scan, admit its ticket if it can be admitted, and return the id of the scan's row. A repeated scan is not
-- recorded again. If `p_refused` is not null, the code opens nothing, and this is the result for a known ticket in any
-- state. If `p_event` is null, the event is that of the ticket.
CREATE OR REPLACE FUNCTION admission_scan_record(
    p_scan uuid, p_ticket bigint, p_issue integer, p_refused text, p_event bigint, p_gate text, p_actor bigint,
    p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t admission_ticket;
    recorded bigint;
    outcome text;
BEGIN
    SELECT id INTO recorded FROM admission_scan WHERE scan_id = p_scan;
    IF recorded IS NULL THEN
        -- Whoever waits here for another gate sees what that gate has done.
        SELECT * INTO t FROM admission_ticket WHERE id = p_ticket FOR NO KEY UPDATE;
        outcome := CASE
            WHEN t.id IS NULL THEN 'unknown'
            WHEN p_refused IS NOT NULL THEN p_refused
            WHEN t.event_id <> p_event THEN 'other_event'
            WHEN t.state = 'revoked' OR t.issue <> p_issue THEN 'revoked'
            WHEN t.state = 'admitted' THEN 'already_admitted'
            ELSE 'admitted'
        END;
        INSERT INTO admission_scan (scan_id, event_id, ticket_id, gate, actor_id, result, at, recorded_at, unchecked,
                                    first_id)
        VALUES (p_scan, COALESCE(p_event, t.event_id), t.id, p_gate, p_actor, outcome, p_at, p_now, p_unchecked,
                (SELECT id FROM admission_scan
                  WHERE ticket_id = t.id AND result = 'admitted' AND undone_at IS NULL))
        ON CONFLICT (scan_id) DO NOTHING
        RETURNING id INTO recorded;
        IF recorded IS NULL THEN  -- the same scan came at the same time
            SELECT id INTO recorded FROM admission_scan WHERE scan_id = p_scan;
        ELSIF outcome = 'admitted' THEN
            UPDATE admission_ticket
               SET state = 'admitted', admitted_at = p_at, admitted_gate = p_gate,
                   changed = pg_current_xact_id()::text::bigint
             WHERE id = t.id;
        END IF;
    END IF;
    IF p_unchecked THEN  -- also when the network went away between the scan and its answer
        UPDATE admission_scan SET unchecked = true WHERE id = recorded AND NOT unchecked;
    END IF;
    RETURN recorded;
END
$$;
