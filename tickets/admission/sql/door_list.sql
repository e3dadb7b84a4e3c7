-- The tickets of an event that changed since a version, and the version of this list. Changes that are committed after
-- this statement began have this number or a higher one.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS version,
       COALESCE((
           SELECT jsonb_agg(jsonb_build_array(
               t.id, t.serial, r.ticket_type_id, t.issue, t.state,
               to_char(t.admitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), t.admitted_gate
           ) ORDER BY t.id)
             FROM admission_ticket t
             JOIN tickets_reservation r ON r.id = t.reservation_id
            WHERE t.event_id = %(event)s AND t.changed >= %(since)s
       ), '[]'::jsonb) AS tickets
