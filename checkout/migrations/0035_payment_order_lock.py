"""Locks and reads a payment with its order by one function."""

from django.db import migrations

PAYMENT_ORDER_LOCK = """
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
"""


class Migration(migrations.Migration):
    dependencies = [("checkout", "0034_plain_words"), ("tickets", "0077_kept_plans")]

    operations = [migrations.RunSQL(PAYMENT_ORDER_LOCK, "DROP FUNCTION payment_order_lock(bigint, bigint)")]
