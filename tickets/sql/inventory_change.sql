-- Add these numbers to the counters of one inventory, and return its new figures. A number may be negative. The table's
-- CHECK constraints refuse wrong counters. A function keeps the plan, which takes longer to make than to carry out.
CREATE OR REPLACE FUNCTION inventory_change(
    p_ticket_type bigint, p_held integer, p_sold integer, p_revenue_minor bigint, p_paid integer, p_expired integer,
    p_failed integer)
RETURNS TABLE (
    event bigint, ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz,
    closes_at timestamptz, paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held + p_held, sold = i.sold + p_sold, revenue_minor = i.revenue_minor + p_revenue_minor,
           reservations_paid = i.reservations_paid + p_paid,
           reservations_expired = i.reservations_expired + p_expired,
           payments_failed = i.payments_failed + p_failed,
           version = i.version + 1
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = i.ticket_type_id
    RETURNING t.event_id, i.ticket_type_id, i.capacity, i.held, i.sold, i.opens_at, i.closes_at, i.paused, i.line_first,
        i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = i.ticket_type_id AND h.state = 'held');
END
$$;
