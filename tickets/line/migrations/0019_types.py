"""Reads the ticket types that somebody who enters a line may wish, with their limits, by a function."""

from django.db import migrations

LINE_TYPES = """
CREATE OR REPLACE FUNCTION line_types(p_event bigint, p_now timestamptz) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(jsonb_agg(jsonb_build_object(
                   'ticket_type', t.id, 'max_per_user', t.max_per_user, 'capacity', i.capacity,
                   'tickets_left', i.capacity - i.held - i.sold, 'has_ended', i.closes_at <= p_now)), '[]')
          FROM tickets_tickettype t
          JOIN tickets_inventory i ON i.ticket_type_id = t.id
         WHERE t.event_id = p_event AND NOT t.hidden);
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("line", "0018_entering_by_the_index_of_buyers")]

    operations = [
        migrations.RunSQL(LINE_TYPES, "DROP FUNCTION line_types(bigint, timestamptz)"),
    ]
