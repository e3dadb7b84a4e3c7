"""Revoke the tickets of orders that kept their seats when their whole money went back, from before there were tickets."""

from django.db import migrations

REVOKE = """
UPDATE admission_ticket t
   SET state = 'revoked', revoked_at = clock_timestamp(), changed = pg_current_xact_id()::text::bigint
  FROM tickets_reservation r
  JOIN checkout_payment p ON p.reservation_id = COALESCE(r.lead_id, r.id)
 WHERE r.id = t.reservation_id AND p.status = 'REFUNDED' AND t.state <> 'revoked'
"""


class Migration(migrations.Migration):
    dependencies = [("checkout", "0006_refund_notices"), ("admission", "0002_tickets_of_paid_reservations")]

    operations = [migrations.RunSQL(REVOKE, migrations.RunSQL.noop)]
