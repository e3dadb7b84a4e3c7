-- Refuse a payment whose reservation is not the lead of its order. Unique indexes allow each reservation one
-- payment in flight and one that succeeded. Because of this function, they allow each order no more either. A
-- trigger calls the function.
CREATE OR REPLACE FUNCTION payment_of_a_lead() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_reservation r WHERE r.id = NEW.reservation_id AND r.lead_id IS NOT NULL) THEN
        RAISE check_violation USING CONSTRAINT = 'payment_of_a_lead',
            MESSAGE = 'a payment is for an order, and names its first reservation';
    END IF;
    RETURN NEW;
END
$$;
