-- End the due holds of one ticket type, p_most at the most, and put their tickets back on sale.
--
-- The reservations are picked first and the inventory touched last: the order of locks everywhere. Rows that
-- somebody else works on are passed over: he ends them himself, or turns them into something that is not due.
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (client bigint, reservation_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    due bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT r.id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= clock_timestamp()
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    UPDATE tickets_reservation r
       SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
     WHERE r.id = ANY (due)
    RETURNING r.client_id, r.id;

    SELECT sum(r.amount) AS tickets, count(*) AS reservations INTO freed FROM tickets_reservation r WHERE r.id = ANY (due);
    UPDATE tickets_inventory i
       SET held = i.held - freed.tickets, version = i.version + 1,
           reservations_expired = i.reservations_expired + freed.reservations
     WHERE i.ticket_type_id = p_ticket_type;
END
$$;
