-- Whether a voucher is for a ticket type of its event. It is for all types that buyers see, or for the types that
-- staff chose for it, which may be hidden.
CREATE OR REPLACE FUNCTION voucher_covers(p_voucher bigint, p_all_types boolean, p_ticket_type bigint, p_hidden boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_all_types THEN
        RETURN NOT p_hidden;
    END IF;
    RETURN EXISTS (SELECT FROM tickets_voucher_ticket_types c
                    WHERE c.voucher_id = p_voucher AND c.tickettype_id = p_ticket_type);
END
$$;
