"""Make the tickets of the reservations that were paid before there were tickets.

Each batch commits by itself, so that no lock is held for long, and an interrupted run goes on where it stopped.
"""

from django.db import migrations

BATCH = 1000

# The row is locked first: a reservation that is being released meanwhile gets no tickets. Its id is returned too.
MAKE = """
WITH missing AS (
    SELECT r.id, r.ticket_type_id, r.quantity
      FROM tickets_reservation r
     WHERE r.state = 'validated' AND r.id > %s
       AND NOT EXISTS (SELECT FROM admission_ticket t WHERE t.reservation_id = r.id)
     ORDER BY r.id LIMIT %s
       FOR NO KEY UPDATE OF r
), made AS (
    SELECT id, admission_tickets_make(id, ticket_type_id, quantity) FROM missing
)
SELECT max(id) FROM made
"""


def make(apps, schema_editor):
    last = 0
    with schema_editor.connection.cursor() as cursor:
        while last is not None:
            cursor.execute(MAKE, [last, BATCH])
            [last] = cursor.fetchone()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("admission", "0001_tickets")]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
