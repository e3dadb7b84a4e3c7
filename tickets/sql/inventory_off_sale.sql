-- Refuse an inventory that is not paused, if its event is a draft or cancelled. A trigger calls it.
--
-- Every claim locks the inventory and then reads `paused`. So the event's status also decides about claims that
-- waited.
CREATE OR REPLACE FUNCTION tickets_inventory_off_sale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
                WHERE t.id = NEW.ticket_type_id AND e.status <> 'on_sale') THEN
        RAISE check_violation USING CONSTRAINT = 'inventory_paused_off_sale',
            MESSAGE = 'a ticket type of an event that is not on sale must be paused';
    END IF;
    RETURN NEW;
END
$$;
