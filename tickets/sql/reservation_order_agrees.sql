-- Refuse an order whose reservations do not belong together. Triggers call it, at the commit at the latest: for a new
-- reservation that has a lead, and for one whose lead, buyer, ticket type or currency changed. A claim of one type has
-- no lead and does not pay for it.
--
-- All reservations of an order have one buyer, one event and one currency. A lead has no lead itself, and a reservation
-- never changes its lead.
CREATE OR REPLACE FUNCTION reservation_order_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p_order bigint := COALESCE(NEW.lead_id, NEW.id);
BEGIN
    IF (TG_OP = 'UPDATE' AND NEW.lead_id IS DISTINCT FROM OLD.lead_id) OR EXISTS (
        SELECT FROM tickets_reservation l
          JOIN tickets_tickettype lt ON lt.id = l.ticket_type_id
          JOIN tickets_reservation r ON r.lead_id = l.id
          JOIN tickets_tickettype t ON t.id = r.ticket_type_id
         WHERE l.id = p_order
           AND (l.lead_id IS NOT NULL OR r.buyer_id <> l.buyer_id OR r.currency <> l.currency
                OR t.event_id <> lt.event_id)
    ) THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_order_agrees',
            MESSAGE = 'the reservations of an order must have one lead, buyer, event and currency';
    END IF;
    RETURN NULL;
END
$$;
