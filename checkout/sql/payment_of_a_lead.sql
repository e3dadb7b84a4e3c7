-- Refuse a payment that does not name the first reservation of its order. Unique indexes allow one payment in flight
-- and one captured payment for each reservation; because of this function they hold for the order. A trigger calls
-- it.
CREATE OR REPLACE FUNCTION payment_of_a_lead() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_reservation r WHERE r.id = NEW.reservation_id AND r.lead_id IS NOT NULL) THEN
        RAISE check_violation USING CONSTRAINT = 'payment_of_a_lead',
            MESSAGE = 'a payment is for an order, and names its first reservation';
    END IF;
    RETURN NEW;
END
$$;
