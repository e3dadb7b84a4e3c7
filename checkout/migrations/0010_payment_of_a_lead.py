from django.db import migrations

PAYMENT_OF_A_LEAD = """
CREATE OR REPLACE FUNCTION payment_of_a_lead() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM tickets_reservation r WHERE r.id = NEW.reservation_id AND r.lead_id IS NOT NULL) THEN
        RAISE check_violation USING CONSTRAINT = 'payment_of_a_lead',
            MESSAGE = 'a payment is for an order, and names its first reservation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER payment_of_a_lead BEFORE INSERT OR UPDATE OF reservation_id ON checkout_payment
    FOR EACH ROW EXECUTE FUNCTION payment_of_a_lead();
"""
PAYMENT_OF_ANY = """
DROP TRIGGER payment_of_a_lead ON checkout_payment;
DROP FUNCTION payment_of_a_lead();
"""


class Migration(migrations.Migration):
    """Let payments be of orders only."""

    dependencies = [("checkout", "0022_payment_steps"), ("tickets", "0022_orders_by_index")]

    operations = [migrations.RunSQL(PAYMENT_OF_A_LEAD, PAYMENT_OF_ANY)]
