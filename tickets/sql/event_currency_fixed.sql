-- Refuse to change an event's currency after tickets of it were reserved. A trigger calls this before such an update.
--
-- A claim reads the currency while it has locked its inventory. So this function locks the event's inventories first,
-- and then sees all reservations in the old currency. A claim that waits for the lock reads the new currency.
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
