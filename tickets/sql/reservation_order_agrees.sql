-- Refuse an order whose reservations do not belong together. Triggers call it, at the latest at the commit: for a new
-- reservation with a lead, for a reservation whose lead, buyer, ticket type or currency changed, and for a deleted
-- one. A claim of one type has no lead, so it does not cause this check.
--
-- All reservations of an order have one buyer, one event and one currency. A lead exists and has no lead itself, and
-- a reservation never changes its lead. A foreign key is not used: PostgreSQL keeps the plan of its check, and a plan
-- that was made while the table was nearly empty would read the whole table each time. This function avoids that.
CREATE OR REPLACE FUNCTION reservation_order_agrees() RETURNS trigger
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    v_agrees boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        v_agrees := EXISTS (
            SELECT FROM tickets_reservation l
              JOIN tickets_tickettype lt ON lt.id = l.ticket_type_id
              JOIN tickets_tickettype t ON t.event_id = lt.event_id
             WHERE l.id = NEW.lead_id AND l.lead_id IS NULL
               AND l.buyer_id = NEW.buyer_id AND l.currency = NEW.currency
               AND t.id = NEW.ticket_type_id
        );
    ELSIF TG_OP = 'DELETE' THEN
        v_agrees := NOT EXISTS (SELECT FROM tickets_reservation r WHERE r.lead_id = OLD.id);
    ELSE
        v_agrees := NEW.lead_id IS NOT DISTINCT FROM OLD.lead_id AND NOT EXISTS (
            SELECT FROM tickets_reservation l
              JOIN tickets_tickettype lt ON lt.id = l.ticket_type_id
              JOIN tickets_reservation r ON r.lead_id = l.id
              JOIN tickets_tickettype t ON t.id = r.ticket_type_id
             WHERE l.id = COALESCE(NEW.lead_id, NEW.id)
               AND (r.buyer_id <> l.buyer_id OR r.currency <> l.currency OR t.event_id <> lt.event_id)
        );
    END IF;
    IF NOT v_agrees THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_order_agrees',
            MESSAGE = 'the reservations of an order must have one lead, buyer, event and currency';
    END IF;
    RETURN NULL;
END
$$;
