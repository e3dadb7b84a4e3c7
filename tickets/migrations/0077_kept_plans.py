"""Sells an order, changes counters and reads buyers' screens by functions, whose plans PostgreSQL keeps."""

from django.db import migrations

INVENTORY_CHANGE = """
CREATE OR REPLACE FUNCTION inventory_change(
    p_ticket_type bigint, p_held integer, p_sold integer, p_revenue_minor bigint, p_paid integer, p_expired integer,
    p_failed integer)
RETURNS TABLE (
    event bigint, ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz,
    closes_at timestamptz, paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held + p_held, sold = i.sold + p_sold, revenue_minor = i.revenue_minor + p_revenue_minor,
           reservations_paid = i.reservations_paid + p_paid,
           reservations_expired = i.reservations_expired + p_expired,
           payments_failed = i.payments_failed + p_failed,
           version = i.version + 1
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = i.ticket_type_id
    RETURNING t.event_id, i.ticket_type_id, i.capacity, i.held, i.sold, i.opens_at, i.closes_at, i.paused, i.line_first,
        i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = i.ticket_type_id AND h.state = 'held');
END
$$;
"""
ORDER_VALIDATE = """
CREATE OR REPLACE FUNCTION order_validate(p_reservations bigint[], p_minor bigint[], p_now timestamptz)
RETURNS TABLE (
    event bigint, ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz,
    closes_at timestamptz, paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    moved integer;
    each record;
BEGIN
    UPDATE tickets_reservation r SET state = 'validated', validated_at = p_now, version = r.version + 1
     WHERE r.id = ANY (p_reservations) AND r.state = 'paying';
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(p_reservations) THEN
        RETURN;
    END IF;
    FOR each IN
        SELECT r.ticket_type_id, r.quantity, given.minor
          FROM unnest(p_reservations, p_minor) AS given (id, minor)
          JOIN tickets_reservation r ON r.id = given.id
         ORDER BY r.ticket_type_id
    LOOP
        RETURN QUERY
        SELECT * FROM inventory_change(each.ticket_type_id, -each.quantity, each.quantity, each.minor, 1, 0, 0);
    END LOOP;
END
$$;
"""
RESERVATIONS_SHOWN = """
CREATE OR REPLACE FUNCTION reservations_shown(p_buyers bigint[], p_since timestamptz, p_validated integer)
RETURNS TABLE (reservation tickets_reservation, event_id bigint, voucher_text text)
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT s.r, t.event_id, v.text::text
      FROM (SELECT r, row_number() OVER (PARTITION BY r.buyer_id, r.state ORDER BY r.id DESC) AS nth
              FROM tickets_reservation r WHERE r.buyer_id = ANY (p_buyers)) s
      JOIN tickets_tickettype t ON t.id = (s.r).ticket_type_id
      LEFT JOIN tickets_voucher v ON v.id = (s.r).voucher_id
     WHERE (s.r).state IN ('held', 'paying')
        OR ((s.r).state = 'validated' AND s.nth <= p_validated)
        OR ((s.r).state IN ('expired', 'released') AND (s.r).ended_at > p_since AND s.nth <= 50)
     ORDER BY (s.r).id DESC;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0076_plain_words")]

    operations = [
        migrations.RunSQL(
            INVENTORY_CHANGE,
            "DROP FUNCTION inventory_change(bigint, integer, integer, bigint, integer, integer, integer)",
        ),
        migrations.RunSQL(ORDER_VALIDATE, "DROP FUNCTION order_validate(bigint[], bigint[], timestamptz)"),
        migrations.RunSQL(
            RESERVATIONS_SHOWN, "DROP FUNCTION reservations_shown(bigint[], timestamptz, integer)"
        ),
    ]
