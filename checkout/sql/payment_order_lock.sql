-- Lock a payment and then its order. If p_buyer is not null, do so only if the payment is this buyer's. Return the
-- payment with each reservation of the order, as order_lock returns them.
CREATE OR REPLACE FUNCTION payment_order_lock(p_payment bigint, p_buyer bigint)
RETURNS TABLE (
    payment checkout_payment, reservation tickets_reservation, ticket_type tickets_tickettype, event tickets_event
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    locked checkout_payment;
BEGIN
    SELECT p.* INTO locked FROM checkout_payment p
     WHERE p.id = p_payment AND (p_buyer IS NULL OR p.buyer_id = p_buyer) FOR NO KEY UPDATE;
    IF FOUND THEN
        RETURN QUERY
        SELECT locked, l.reservation, l.ticket_type, l.event FROM order_lock(locked.reservation_id) l;
    END IF;
END
$$;
