-- When the sale of an event opens for its line: the earliest opening time of the ticket types that buyers see and whose
-- sale has not ended. If none of these types has such a time, it is the earliest of all types that buyers see, or null.
CREATE OR REPLACE FUNCTION line_opens_at(p_event bigint) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(min(i.opens_at) FILTER (WHERE i.closes_at > clock_timestamp()), min(i.opens_at))
          FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event AND NOT t.hidden);
END
$$;
