"""Holds the limit per person by e-mail address too, from the moment a buyer begins to pay."""

from django.db import migrations, models

PERSON_LIMIT = """
CREATE OR REPLACE FUNCTION reservation_person_limit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    buyer record;
    owned bigint;
    most integer;
BEGIN
    SELECT u.is_guest, accounts_person_key(COALESCE(NULLIF(u.email, ''), u.contact_email)) AS person INTO buyer
      FROM accounts_user u WHERE u.id = NEW.buyer_id;
    IF buyer.person IS NULL AND buyer.is_guest THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_guest_gives_email',
            MESSAGE = 'a guest gives an e-mail address before paying';
    END IF;
    NEW.person_key := buyer.person;
    IF buyer.person IS NULL THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('tickets.person ' || buyer.person, 0));
    SELECT COALESCE(sum(r.quantity), 0) INTO owned FROM tickets_reservation r
     WHERE r.person_key = buyer.person AND r.ticket_type_id = NEW.ticket_type_id
       AND r.state IN ('paying', 'validated') AND r.id <> NEW.id;
    SELECT t.max_per_user INTO most FROM tickets_tickettype t WHERE t.id = NEW.ticket_type_id;
    IF owned > 0 AND owned + NEW.quantity > most THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_within_max_per_person',
            MESSAGE = 'the person would have more tickets of this type than one person may',
            DETAIL = json_build_object('ticket_type', NEW.ticket_type_id, 'max_per_user', most);
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER reservation_person_limit BEFORE UPDATE OF state ON tickets_reservation
    FOR EACH ROW WHEN (NEW.state = 'paying' AND OLD.state <> 'paying')
    EXECUTE FUNCTION reservation_person_limit();
"""
NO_PERSON_LIMIT = """
DROP TRIGGER reservation_person_limit ON tickets_reservation;
DROP FUNCTION reservation_person_limit();
"""
# What was bought before counts too.
PERSONS = """
UPDATE tickets_reservation r SET person_key = accounts_person_key(u.email)
  FROM accounts_user u
 WHERE u.id = r.buyer_id AND r.state IN ('paying', 'validated') AND u.email <> ''
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0021_reservations_claim"), ("accounts", "0011_guest_contact")]

    operations = [
        migrations.AddField(
            "reservation",
            "person_key",
            models.TextField(
                editable=False,
                help_text="Who pays or has paid, by e-mail address: what the limit per person counts.",
                null=True,
            ),
        ),
        migrations.AddIndex(
            "reservation",
            models.Index(
                condition=models.Q(state__in=["paying", "validated"]),
                fields=["person_key", "ticket_type"],
                name="reservation_of_person",
            ),
        ),
        migrations.RunSQL(PERSONS, migrations.RunSQL.noop),
        migrations.RunSQL(PERSON_LIMIT, NO_PERSON_LIMIT),
    ]
