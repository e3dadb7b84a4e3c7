-- Lock an order and return its reservations by id, each with its ticket type and its event. The lead is locked first,
-- in its own statement, so that a transaction that adds to the order has ended before the rest is read. A function
-- keeps the plan of the join, which takes longer to make than to carry out. The function returns whole rows, so that a
-- new column needs no new function.
CREATE OR REPLACE FUNCTION order_lock(p_order bigint)
RETURNS TABLE (reservation tickets_reservation, ticket_type tickets_tickettype, event tickets_event)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM tickets_reservation r WHERE r.id = p_order FOR NO KEY UPDATE;
    PERFORM FROM tickets_reservation r WHERE r.lead_id = p_order ORDER BY r.id FOR NO KEY UPDATE;
    RETURN QUERY
    SELECT r, t, e
      FROM tickets_reservation r
      JOIN tickets_tickettype t ON t.id = r.ticket_type_id
      JOIN tickets_event e ON e.id = t.event_id
     WHERE r.id = p_order OR r.lead_id = p_order
     ORDER BY r.id;
END
$$;
