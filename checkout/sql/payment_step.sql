-- Record each step of a payment: its status, try and attempt. A trigger calls this function at each change, whoever
-- makes it. The steps stay when the payment is removed.
CREATE OR REPLACE FUNCTION checkout_payment_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO checkout_paymentstep (payment_number, at, status, try_number, attempts, gateway_reference, error)
    VALUES (NEW.id, clock_timestamp(), NEW.status, NEW.try_number, NEW.attempts, NEW.gateway_reference, NEW.error);
    RETURN NULL;
END
$$;
