"""Gives events a venue, an address, an end and a status. Existing events are on sale."""

import datetime

from django.db import migrations, models

EVENT_OFF_SALE = """
CREATE OR REPLACE FUNCTION tickets_event_off_sale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
                WHERE t.event_id = NEW.id AND NOT i.paused) THEN
        RAISE check_violation USING CONSTRAINT = 'inventory_paused_off_sale',
            MESSAGE = 'a ticket type of an event that is not on sale must be paused';
    END IF;
    RETURN NEW;
END
$$;
"""

INVENTORY_OFF_SALE = """
CREATE OR REPLACE FUNCTION tickets_inventory_off_sale() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
                WHERE t.id = NEW.ticket_type_id AND e.status <> 'on_sale') THEN
        RAISE check_violation USING CONSTRAINT = 'inventory_paused_off_sale',
            MESSAGE = 'a ticket type of an event that is not on sale must be paused';
    END IF;
    RETURN NEW;
END
$$;
"""

TRIGGERS = """
CREATE TRIGGER event_off_sale BEFORE UPDATE OF status ON tickets_event
   FOR EACH ROW WHEN (NEW.status <> 'on_sale') EXECUTE FUNCTION tickets_event_off_sale();
CREATE TRIGGER inventory_off_sale BEFORE INSERT OR UPDATE OF paused ON tickets_inventory
   FOR EACH ROW WHEN (NOT NEW.paused) EXECUTE FUNCTION tickets_inventory_off_sale();
"""
UNDO_TRIGGERS = """
DROP TRIGGER event_off_sale ON tickets_event;
DROP TRIGGER inventory_off_sale ON tickets_inventory;
"""
NOT_IN_A_LINE = r"[\u0001-\u001f\u007f-\u009f\u2028\u2029]"


class Migration(migrations.Migration):
    dependencies = [("tickets", "0062_line_page")]

    operations = [
        migrations.AlterModelOptions(
            "event",
            {
                "permissions": [
                    ("pause_sale", "Can pause and resume sales"),
                    ("manage_events", "Can make and edit events, and put them on sale"),
                ]
            },
        ),
        migrations.AddField(
            "event",
            "ends_at",
            models.DateTimeField("ends", blank=True, help_text="When it ends, if you know.", null=True),
        ),
        migrations.AddField(
            "event",
            "venue",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The name of the place, for example Town Hall.",
                max_length=200,
            ),
        ),
        migrations.AddField(
            "event",
            "address",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Street, postcode and town, as visitors enter them in a map.",
                max_length=500,
            ),
        ),
        migrations.AddField(
            "event",
            "status",
            models.CharField(
                choices=[("draft", "Draft"), ("on_sale", "On sale"), ("cancelled", "Cancelled")],
                db_default="on_sale",
                default="on_sale",
                editable=False,
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            "event",
            models.CheckConstraint(
                condition=models.Q(status__in=["draft", "on_sale", "cancelled"]), name="event_status_known"
            ),
        ),
        migrations.AddConstraint(
            "event",
            models.CheckConstraint(
                condition=models.Q(ends_at=None)
                | models.Q(ends_at__gt=models.F("date"), ends_at__lt=datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)),
                name="event_ends_after_it_begins",
                violation_error_message="An event must end after it begins.",
            ),
        ),
        migrations.AddConstraint(
            "event",
            models.CheckConstraint(
                condition=~models.Q(venue__regex=NOT_IN_A_LINE) & ~models.Q(address__regex=NOT_IN_A_LINE),
                name="event_place_on_lines",
                violation_error_message="Venue and address must each be one line of text.",
            ),
        ),
        migrations.RunSQL(EVENT_OFF_SALE, "DROP FUNCTION tickets_event_off_sale()"),
        migrations.RunSQL(INVENTORY_OFF_SALE, "DROP FUNCTION tickets_inventory_off_sale()"),
        migrations.RunSQL(TRIGGERS, UNDO_TRIGGERS),
    ]
