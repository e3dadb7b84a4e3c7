-- Count the uses of a voucher: the tickets of its live and validated reservations. Triggers call it for each change
-- of a reservation that has a voucher, whatever statement makes the change. Other reservations do not call it.
--
-- A CHECK of the table refuses more uses than the limit. A transaction that changes several such reservations locks
-- their vouchers by id first.
CREATE OR REPLACE FUNCTION reservation_voucher_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state IN ('held', 'paying', 'validated') THEN
        UPDATE tickets_voucher v SET used = v.used - OLD.quantity WHERE v.id = OLD.voucher_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state IN ('held', 'paying', 'validated') THEN
        UPDATE tickets_voucher v SET used = v.used + NEW.quantity WHERE v.id = NEW.voucher_id;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING CONSTRAINT = 'reservation_voucher_exists',
                MESSAGE = 'there is no such voucher';
        END IF;
    END IF;
    RETURN NULL;
END
$$;
