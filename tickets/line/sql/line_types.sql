-- The ticket types of an event that buyers see, with the facts that decide whether a person may wish them: the limit
-- per person, the capacity, how many tickets are left, and whether the sale of the type has ended.
CREATE OR REPLACE FUNCTION line_types(p_event bigint, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
                   'ticket_type', t.id, 'max_per_user', t.max_per_user, 'capacity', i.capacity,
                   'tickets_left', i.capacity - i.held - i.sold, 'has_ended', i.closes_at <= p_now)), '[]')
          FROM tickets_tickettype t
          JOIN tickets_inventory i ON i.ticket_type_id = t.id
         WHERE t.event_id = p_event AND NOT t.hidden);
END
$$;
