-- Refuse to take an event off sale while one of its ticket types is not paused. A trigger calls it.
CREATE OR REPLACE FUNCTION tickets_event_off_sale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
                WHERE t.event_id = NEW.id AND NOT i.paused) THEN
        RAISE check_violation USING CONSTRAINT = 'inventory_paused_off_sale',
            MESSAGE = 'a ticket type of an event that is not on sale must be paused';
    END IF;
    RETURN NEW;
END
$$;
