from django.db import migrations

RESERVATION_CLAIM = """
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

HOLDS_RELEASE_DUE = """
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (client bigint, reservation_id bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    due bigint[];
    freed bigint;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT r.id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= clock_timestamp()
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    UPDATE tickets_reservation r
       SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
     WHERE r.id = ANY (due)
    RETURNING r.client_id, r.id;

    SELECT sum(r.amount) INTO freed FROM tickets_reservation r WHERE r.id = ANY (due);
    UPDATE tickets_inventory i
       SET held = i.held - freed, version = i.version + 1
     WHERE i.ticket_type_id = p_ticket_type;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0001_initial")]

    operations = [
        migrations.RunSQL(
            RESERVATION_CLAIM,
            "DROP FUNCTION reservation_claim(bigint, bigint, integer, text, interval)",
        ),
        migrations.RunSQL(
            HOLDS_RELEASE_DUE,
            "DROP FUNCTION holds_release_due(bigint, integer)",
        ),
        # Room on each page for the next version of its rows: a counter's change then touches no index.
        migrations.RunSQL(
            "ALTER TABLE tickets_inventory SET (fillfactor = 10, autovacuum_vacuum_threshold = 1000,"
            " autovacuum_vacuum_scale_factor = 0)",
            "ALTER TABLE tickets_inventory RESET (fillfactor, autovacuum_vacuum_threshold,"
            " autovacuum_vacuum_scale_factor)",
        ),
    ]
