import django.db.models.deletion
from django.db import migrations, models

RESERVATION_ORDER_AGREES = """
CREATE OR REPLACE FUNCTION reservation_order_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p_order bigint := COALESCE(NEW.lead_id, NEW.id);
BEGIN
    IF (TG_OP = 'UPDATE' AND NEW.lead_id IS DISTINCT FROM OLD.lead_id) OR EXISTS (
        SELECT FROM tickets_reservation l
          JOIN tickets_tickettype lt ON lt.id = l.ticket_type_id
          JOIN tickets_reservation r ON r.lead_id = l.id
          JOIN tickets_tickettype t ON t.id = r.ticket_type_id
         WHERE l.id = p_order
           AND (l.lead_id IS NOT NULL OR r.buyer_id <> l.buyer_id OR r.currency <> l.currency
                OR t.event_id <> lt.event_id)
    ) THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_order_agrees',
            MESSAGE = 'the reservations of an order must have one lead, buyer, event and currency';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER reservation_order_agrees_when_added AFTER INSERT ON tickets_reservation
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.lead_id IS NOT NULL)
    EXECUTE FUNCTION reservation_order_agrees();
CREATE CONSTRAINT TRIGGER reservation_order_agrees_when_changed
    AFTER UPDATE OF lead_id, buyer_id, ticket_type_id, currency ON tickets_reservation
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN ((NEW.lead_id, NEW.buyer_id, NEW.ticket_type_id, NEW.currency)
        IS DISTINCT FROM (OLD.lead_id, OLD.buyer_id, OLD.ticket_type_id, OLD.currency))
    EXECUTE FUNCTION reservation_order_agrees();
"""
RESERVATION_ORDER_FREE = """
DROP TRIGGER reservation_order_agrees_when_changed ON tickets_reservation;
DROP TRIGGER reservation_order_agrees_when_added ON tickets_reservation;
DROP FUNCTION reservation_order_agrees();
"""


class Migration(migrations.Migration):
    """Let reservations belong to an order, and remember how many tickets one was claimed for."""

    dependencies = [("tickets", "0011_bounds")]

    operations = [
        migrations.AddField(
            "reservation",
            "lead",
            models.ForeignKey(
                db_index=False,
                editable=False,
                help_text="The first reservation of its order; empty for the first itself.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tickets.reservation",
            ),
        ),
        migrations.AddField(
            "reservation",
            "quantity_claimed",
            models.IntegerField(
                editable=False, help_text="What it was claimed for, if that was changed since.", null=True
            ),
        ),
        migrations.AddConstraint(
            "reservation",
            models.CheckConstraint(
                condition=models.Q(lead=None) | models.Q(lead__lt=models.F("id")),
                name="reservation_lead_came_first",
            ),
        ),
        migrations.AddIndex(
            "reservation",
            models.Index(
                condition=models.Q(lead__isnull=False), fields=["lead"], name="reservation_of_order"
            ),
        ),
        migrations.RunSQL(RESERVATION_ORDER_AGREES, RESERVATION_ORDER_FREE),
    ]
