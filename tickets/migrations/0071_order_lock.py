"""Locks and reads an order by a function, whose plan PostgreSQL keeps."""

from django.db import migrations

ORDER_LOCK = """
CREATE OR REPLACE FUNCTION order_lock(p_order bigint)
RETURNS TABLE (reservation tickets_reservation, ticket_type tickets_tickettype, event tickets_event)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM FROM tickets_reservation r WHERE r.id = p_order FOR NO KEY UPDATE;
    PERFORM FROM tickets_reservation r WHERE r.lead_id = p_order ORDER BY r.id FOR NO KEY UPDATE;
    RETURN QUERY
    SELECT r, t, e
      FROM tickets_reservation r
      JOIN tickets_tickettype t ON t.id = r.ticket_type_id
      JOIN tickets_event e ON e.id = t.event_id
     WHERE r.id = p_order OR r.lead_id = p_order
     ORDER BY r.id;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0070_event_by_draw")]

    operations = [migrations.RunSQL(ORDER_LOCK, "DROP FUNCTION order_lock(bigint)")]
