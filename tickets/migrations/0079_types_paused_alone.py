"""Ticket types that staff paused by themselves stay paused when the sale of their event is resumed."""

from django.db import migrations, models

# So far, a pause did not say whether it was of a type or of the whole event. It was of a type if another type of the
# event is not paused.
PAUSED_ALONE = """
UPDATE tickets_inventory i SET paused_alone = true
  FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
 WHERE t.id = i.ticket_type_id AND i.paused AND e.status = 'on_sale'
   AND EXISTS (SELECT FROM tickets_inventory o JOIN tickets_tickettype u ON u.id = o.ticket_type_id
                WHERE u.event_id = t.event_id AND NOT o.paused)
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0078_person_limit_of_a_follower")]

    operations = [
        migrations.AddField(
            model_name="inventory",
            name="paused_alone",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.RunSQL(PAUSED_ALONE, migrations.RunSQL.noop),
    ]
