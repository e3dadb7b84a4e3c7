-- The facts that decide whether a person may enter the line of an event; no row for a draft. `address` is the verified
-- e-mail address of a guest, or "" if there is none. It is null for an account, and for a visitor, whose id is null. A
-- function keeps its plan, which takes longer to make than to carry out.
CREATE OR REPLACE FUNCTION line_entering(p_event bigint, p_buyer bigint, p_now timestamptz)
RETURNS TABLE (opens_by_draw boolean, buyers text, sells boolean, types bigint[], phase text, address text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.opening = 'draw', e.buyers::text,
           e.status = 'on_sale' AND EXISTS (
               SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
                WHERE t.event_id = e.id AND NOT t.hidden AND i.closes_at > p_now),
           ARRAY(SELECT t.id FROM tickets_tickettype t WHERE t.event_id = e.id AND NOT t.hidden),
           (SELECT l.phase::text FROM line_line l WHERE l.event_id = e.id),
           (SELECT u.verified_email::text FROM accounts_user u WHERE u.id = p_buyer AND u.is_guest)
      FROM tickets_event e WHERE e.id = p_event AND e.status <> 'draft';
END
$$;
