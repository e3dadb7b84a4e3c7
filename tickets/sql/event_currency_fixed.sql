-- Refuse to change an event's currency once tickets of it were reserved. A trigger calls it before such an update.
--
-- A claim reads the currency while it holds its inventory. So this locks the event's inventories first, and sees all
-- that was reserved in the old currency; a claim that waits reads the new one.
CREATE OR REPLACE FUNCTION tickets_event_currency_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM tickets_inventory i
       JOIN tickets_tickettype t ON t.id = i.ticket_type_id
      WHERE t.event_id = NEW.id ORDER BY i.ticket_type_id FOR NO KEY UPDATE OF i;
    IF EXISTS (SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
                WHERE t.event_id = NEW.id AND i.reservations > 0) THEN
        RAISE check_violation USING CONSTRAINT = 'event_currency_fixed',
            MESSAGE = 'tickets of the event were reserved in its old currency';
    END IF;
    RETURN NEW;
END
$$;
