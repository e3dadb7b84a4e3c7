"""Counts an order that is being paid for when it follows from a guest to an account."""

from django.db import migrations

TRIGGER = """
DROP TRIGGER reservation_person_limit ON tickets_reservation;
CREATE TRIGGER reservation_person_limit BEFORE UPDATE OF state, buyer_id ON tickets_reservation
    FOR EACH ROW WHEN (NEW.state = 'paying' AND (OLD.state <> 'paying' OR NEW.buyer_id <> OLD.buyer_id))
    EXECUTE FUNCTION reservation_person_limit();
"""
FORMER_TRIGGER = """
DROP TRIGGER reservation_person_limit ON tickets_reservation;
CREATE TRIGGER reservation_person_limit BEFORE UPDATE OF state ON tickets_reservation
    FOR EACH ROW WHEN (NEW.state = 'paying' AND OLD.state <> 'paying')
    EXECUTE FUNCTION reservation_person_limit();
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0077_kept_plans")]

    operations = [migrations.RunSQL(TRIGGER, FORMER_TRIGGER)]
