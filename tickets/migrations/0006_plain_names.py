from django.db import migrations, models
from django.db.models import F, Q

LIVE = ["held", "paying"]

RESERVATION_CLAIM = """
CREATE OR REPLACE FUNCTION reservation_claim(
    p_buyer bigint, p_ticket_type bigint, p_quantity integer, p_key text, p_hold interval
) RETURNS TABLE (
    reservation_id bigint, unit_price_minor bigint, created timestamptz, expires_at timestamptz,
    event bigint, currency text,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ticket_type record;
    inventory tickets_inventory%ROWTYPE;
    own record;
    at timestamptz;
BEGIN
    SELECT t.price_minor, t.max_per_user, t.event_id, e.currency INTO ticket_type
      FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
     WHERE t.id = p_ticket_type;

    -- Only the locked row is read again after waiting, so all that can refuse stands on it.
    UPDATE tickets_inventory i
       SET held = i.held + p_quantity, version = i.version + 1,
           reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + p_quantity
     WHERE i.ticket_type_id = p_ticket_type
       AND i.held + i.sold + p_quantity <= i.capacity
       AND NOT i.paused
       AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp())
       AND i.closes_at > clock_timestamp()
    RETURNING i.* INTO inventory;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    -- A live reservation that another transaction is ending still shows here as live. Refusing now, instead
    -- of letting the INSERT wait for that transaction (which waits for our inventory), rules out a deadlock.
    SELECT COALESCE(sum(r.quantity), 0) AS tickets, bool_or(r.state <> 'validated') AS live INTO own
      FROM tickets_reservation r
     WHERE r.buyer_id = p_buyer AND r.ticket_type_id = p_ticket_type
       AND r.state IN ('held', 'paying', 'validated');
    IF own.live THEN
        RAISE unique_violation USING CONSTRAINT = 'reservation_one_live_per_buyer_and_type',
            MESSAGE = 'the buyer holds tickets of this type already';
    END IF;
    IF own.tickets + p_quantity > ticket_type.max_per_user THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_within_max_per_user',
            MESSAGE = 'the buyer would own more tickets of this type than one may';
    END IF;

    at := clock_timestamp();
    RETURN QUERY
    INSERT INTO tickets_reservation AS r
        (buyer_id, ticket_type_id, quantity, unit_price_minor, state, created, expires_at, idempotency_key, version)
    VALUES (p_buyer, p_ticket_type, p_quantity, ticket_type.price_minor, 'held', at, at + p_hold, p_key, 1)
    RETURNING r.id, r.unit_price_minor, r.created, r.expires_at, ticket_type.event_id, ticket_type.currency::text,
        inventory.capacity, inventory.held, inventory.sold, inventory.opens_at, inventory.closes_at,
        inventory.paused, inventory.version,
        LEAST(r.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                              WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held'));
END
$$;
"""

HOLDS_RELEASE_DUE = """
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (
    buyers bigint[], event bigint, ticket_type bigint,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();  -- an index finds what lies before an instant, not before a function
    due bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT r.id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= at
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    WITH ended AS (
        UPDATE tickets_reservation r
           SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
         WHERE r.id = ANY (due)
        RETURNING r.buyer_id, r.quantity
    )
    SELECT array_agg(e.buyer_id) AS buyers, sum(e.quantity) AS tickets, count(*) AS reservations
      INTO freed FROM ended e;

    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held - freed.tickets, version = i.version + 1,
           reservations_expired = i.reservations_expired + freed.reservations
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = p_ticket_type
    RETURNING freed.buyers, t.event_id, p_ticket_type, i.capacity, i.held, i.sold, i.opens_at, i.closes_at,
        i.paused, i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held');
END
$$;
"""

# As 0002 and 0004 left them, for the way back.
RESERVATION_CLAIM_BEFORE = """
CREATE OR REPLACE FUNCTION reservation_claim(
    p_client bigint, p_ticket_type bigint, p_amount integer, p_key text, p_hold interval
) RETURNS TABLE (
    reservation_id bigint, unit_price bigint, created timestamptz, expires_at timestamptz,
    event bigint, currency text,
    amount integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    kind record;
    stock tickets_inventory%ROWTYPE;
    own record;
    at timestamptz;
BEGIN
    SELECT t.price, t.max_per_user, t.event_id, e.currency INTO kind
      FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
     WHERE t.id = p_ticket_type;

    -- Only the locked row is read again after waiting, so all that can refuse stands on it.
    UPDATE tickets_inventory i
       SET held = i.held + p_amount, version = i.version + 1,
           reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + p_amount
     WHERE i.ticket_type_id = p_ticket_type
       AND i.held + i.sold + p_amount <= i.amount
       AND NOT i.paused
       AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp())
       AND i.closes_at > clock_timestamp()
    RETURNING i.* INTO stock;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    -- A live reservation that another transaction is ending still shows here as live. Refusing now, instead
    -- of letting the INSERT wait for that transaction (which waits for our inventory), rules out a deadlock.
    SELECT COALESCE(sum(r.amount), 0) AS tickets, bool_or(r.state <> 'validated') AS live INTO own
      FROM tickets_reservation r
     WHERE r.client_id = p_client AND r.ticket_type_id = p_ticket_type
       AND r.state IN ('held', 'paying', 'validated');
    IF own.live THEN
        RAISE unique_violation USING CONSTRAINT = 'reservation_one_live_per_client_and_type',
            MESSAGE = 'the client holds tickets of this type already';
    END IF;
    IF own.tickets + p_amount > kind.max_per_user THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_within_max_per_user',
            MESSAGE = 'the client would own more tickets of this type than one may';
    END IF;

    at := clock_timestamp();
    RETURN QUERY
    INSERT INTO tickets_reservation AS r
        (client_id, ticket_type_id, amount, unit_price, state, created, expires_at, idempotency_key, version)
    VALUES (p_client, p_ticket_type, p_amount, kind.price, 'held', at, at + p_hold, p_key, 1)
    RETURNING r.id, r.unit_price, r.created, r.expires_at, kind.event_id, kind.currency::text,
        stock.amount, stock.held, stock.sold, stock.opens_at, stock.closes_at, stock.paused, stock.version,
        LEAST(r.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                              WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held'));
END
$$;
"""

HOLDS_RELEASE_DUE_BEFORE = """
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (
    clients bigint[], event bigint, ticket_type bigint,
    amount integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();  -- an index finds what lies before an instant, not before a function
    due bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT r.id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= at
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    WITH ended AS (
        UPDATE tickets_reservation r
           SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
         WHERE r.id = ANY (due)
        RETURNING r.client_id, r.amount
    )
    SELECT array_agg(e.client_id) AS clients, sum(e.amount) AS tickets, count(*) AS reservations
      INTO freed FROM ended e;

    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held - freed.tickets, version = i.version + 1,
           reservations_expired = i.reservations_expired + freed.reservations
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = p_ticket_type
    RETURNING freed.clients, t.event_id, p_ticket_type, i.amount, i.held, i.sold, i.opens_at, i.closes_at,
        i.paused, i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held');
END
$$;
"""

DROP = """
DROP FUNCTION reservation_claim(bigint, bigint, integer, text, interval);
DROP FUNCTION holds_release_due(bigint, integer);
"""

RENAME = """
ALTER TABLE tickets_reservation
    RENAME CONSTRAINT reservation_amount_positive TO reservation_quantity_positive;
ALTER INDEX reservation_one_live_per_client_and_type RENAME TO reservation_one_live_per_buyer_and_type;
ALTER INDEX reservation_by_client RENAME TO reservation_by_buyer;
"""
RENAME_BACK = """
ALTER TABLE tickets_reservation
    RENAME CONSTRAINT reservation_quantity_positive TO reservation_amount_positive;
ALTER INDEX reservation_one_live_per_buyer_and_type RENAME TO reservation_one_live_per_client_and_type;
ALTER INDEX reservation_by_buyer RENAME TO reservation_by_client;
"""


class Migration(migrations.Migration):
    """Give columns the words of the glossary. Constraints and indexes follow their columns by themselves; Django's
    record of them is taken down before the renaming and put up again after it."""

    dependencies = [("tickets", "0005_sweep_glance")]

    operations = [
        migrations.RunSQL(DROP, RESERVATION_CLAIM_BEFORE + HOLDS_RELEASE_DUE_BEFORE),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint("tickettype", "ticket_type_unique_in_event"),
                migrations.RemoveConstraint("tickettype", "ticket_type_price_not_negative"),
                migrations.RemoveConstraint("inventory", "inventory_never_oversold"),
                migrations.RemoveConstraint("reservation", "reservation_amount_positive"),
                migrations.RemoveConstraint("reservation", "reservation_unique_idempotency_key"),
                migrations.RemoveConstraint("reservation", "reservation_one_live_per_client_and_type"),
                migrations.RemoveIndex("reservation", "reservation_by_client"),
                migrations.RemoveIndex("reservation", "reservation_validated"),
            ],
        ),
        migrations.RenameField("tickettype", "ticket_type", "name"),
        migrations.RenameField("tickettype", "price", "price_minor"),
        migrations.RenameField("inventory", "amount", "capacity"),
        migrations.RenameField("inventory", "revenue", "revenue_minor"),
        migrations.RenameField("reservation", "client", "buyer"),
        migrations.RenameField("reservation", "amount", "quantity"),
        migrations.RenameField("reservation", "unit_price", "unit_price_minor"),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(RENAME, RENAME_BACK)],
            state_operations=[
                migrations.AddConstraint(
                    "tickettype",
                    models.UniqueConstraint(fields=["event", "name"], name="ticket_type_unique_in_event"),
                ),
                migrations.AddConstraint(
                    "tickettype",
                    models.CheckConstraint(
                        condition=Q(price_minor__gte=0), name="ticket_type_price_not_negative"
                    ),
                ),
                migrations.AddConstraint(
                    "inventory",
                    models.CheckConstraint(
                        condition=Q(capacity__gte=F("held") + F("sold")), name="inventory_never_oversold"
                    ),
                ),
                migrations.AddConstraint(
                    "reservation",
                    models.CheckConstraint(
                        condition=Q(quantity__gte=1), name="reservation_quantity_positive"
                    ),
                ),
                migrations.AddConstraint(
                    "reservation",
                    models.UniqueConstraint(
                        fields=["buyer", "idempotency_key"], name="reservation_unique_idempotency_key"
                    ),
                ),
                migrations.AddConstraint(
                    "reservation",
                    models.UniqueConstraint(
                        fields=["buyer", "ticket_type"],
                        condition=Q(state__in=LIVE),
                        name="reservation_one_live_per_buyer_and_type",
                    ),
                ),
                migrations.AddIndex(
                    "reservation", models.Index(fields=["buyer", "-id"], name="reservation_by_buyer")
                ),
                migrations.AddIndex(
                    "reservation",
                    models.Index(
                        fields=["buyer", "ticket_type"],
                        condition=Q(state="validated"),
                        include=["quantity"],
                        name="reservation_validated",
                    ),
                ),
            ],
        ),
        # Words for people only: PostgreSQL sees no change.
        migrations.AlterField(
            "tickettype",
            "name",
            models.CharField(help_text="VIP, Regular, Discounted, or any name.", max_length=60),
        ),
        migrations.AlterField("inventory", "capacity", models.IntegerField()),
        migrations.RunSQL(RESERVATION_CLAIM + HOLDS_RELEASE_DUE, DROP),
    ]
