import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

ADMISSION_SERIAL = """
CREATE OR REPLACE FUNCTION admission_serial() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- All its bits are random but those of its version and its variant, which stand in bytes 6 and 8.
    drawn bytea := uuid_send(gen_random_uuid());
    serial text := '';
    i integer;
BEGIN
    FOREACH i IN ARRAY ARRAY[0, 1, 2, 3, 4, 5, 10, 11, 12, 13] LOOP
        serial := serial || substr('23456789ABCDEFGHJKLMNPQRSTUVWXYZ', 1 + get_byte(drawn, i) % 32, 1);
    END LOOP;
    RETURN serial;
END
$$;
"""

ADMISSION_TICKETS_MAKE = """
CREATE OR REPLACE FUNCTION admission_tickets_make(p_reservation bigint, p_ticket_type bigint, p_quantity integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO admission_ticket
        (reservation_id, event_id, seat, serial, issue, holder, state, admitted_gate, changed)
    SELECT p_reservation, t.event_id, seat, admission_serial(), 1, '', 'valid', '',
           pg_current_xact_id()::text::bigint
      FROM generate_series(1, p_quantity) seat, tickets_tickettype t
     WHERE t.id = p_ticket_type
    ON CONFLICT (reservation_id, seat) DO NOTHING;
END
$$;
"""

ADMISSION_RESERVATION_CHANGED = """
CREATE OR REPLACE FUNCTION admission_reservation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'validated' THEN
        PERFORM admission_tickets_make(NEW.id, NEW.ticket_type_id, NEW.quantity);
    ELSE
        UPDATE admission_ticket
           SET state = 'revoked', revoked_at = clock_timestamp(), changed = pg_current_xact_id()::text::bigint
         WHERE reservation_id = NEW.id AND state <> 'revoked';
    END IF;
    RETURN NULL;
END
$$;
"""

TRIGGER = """
CREATE TRIGGER admission_reservation_changed AFTER UPDATE OF state ON tickets_reservation FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND 'validated' IN (OLD.state, NEW.state))
    EXECUTE FUNCTION admission_reservation_changed()
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("tickets", "0062_line_page")]

    operations = [
        migrations.CreateModel(
            name="Key",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("salt", models.BinaryField(max_length=16)),
                ("public_key", models.BinaryField(max_length=32, unique=True)),
                ("created", models.DateTimeField()),
                ("retired_at", models.DateTimeField(help_text="From then on, codes signed by it open nothing.", null=True)),
                (
                    "event",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tickets.event"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Ticket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("seat", models.IntegerField(help_text="Which of the reservation's tickets it is: 1 to its quantity.")),
                ("serial", models.CharField(max_length=10, unique=True)),
                ("issue", models.SmallIntegerField(default=1, help_text="Which code of the ticket is in force.")),
                (
                    "holder",
                    models.CharField(
                        blank=True, help_text="Who comes with it, if the buyer says so.", max_length=100
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("valid", "Valid"), ("admitted", "Admitted"), ("revoked", "Revoked")],
                        default="valid",
                        max_length=8,
                    ),
                ),
                ("admitted_at", models.DateTimeField(null=True)),
                ("admitted_gate", models.CharField(blank=True, max_length=60)),
                ("revoked_at", models.DateTimeField(null=True)),
                (
                    "changed",
                    models.BigIntegerField(
                        help_text="The transaction that changed it last: pg_current_xact_id() of PostgreSQL."
                    ),
                ),
                (
                    "event",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tickets.event",
                    ),
                ),
                (
                    "reservation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tickets.reservation",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["event", "changed"], name="ticket_by_change")],
                "constraints": [
                    models.UniqueConstraint(fields=("reservation", "seat"), name="ticket_one_per_seat"),
                    models.CheckConstraint(condition=Q(("seat__gte", 1)), name="ticket_seat_positive"),
                    models.CheckConstraint(condition=Q(("issue__gte", 1)), name="ticket_issue_positive"),
                    models.CheckConstraint(
                        condition=Q(
                            Q(("admitted_at", None), ("revoked_at", None), ("state", "valid")),
                            Q(("admitted_at__isnull", False), ("revoked_at", None), ("state", "admitted")),
                            Q(("revoked_at__isnull", False), ("state", "revoked")),
                            _connector="OR",
                        ),
                        name="ticket_state_agrees_with_its_times",
                    ),
                ],
            },
        ),
        migrations.RunSQL(ADMISSION_SERIAL, "DROP FUNCTION admission_serial()"),
        migrations.RunSQL(ADMISSION_TICKETS_MAKE, "DROP FUNCTION admission_tickets_make(bigint, bigint, integer)"),
        migrations.RunSQL(ADMISSION_RESERVATION_CHANGED, "DROP FUNCTION admission_reservation_changed()"),
        migrations.RunSQL(TRIGGER, "DROP TRIGGER admission_reservation_changed ON tickets_reservation"),
    ]
