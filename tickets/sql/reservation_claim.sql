-- Hold p_quantity tickets of a type for a buyer, or do nothing at all. The whole claim is this one call.
--
-- Return no row if the inventory refuses. Raise an error with the name of a constraint if the type is hidden, or if the
-- buyer's own reservations, the limit per person or the total refuse. In both cases nothing is changed.
--
-- Each statement of a function has a new snapshot. So a transaction that waited for the lock of the inventory then
-- sees all that the transaction before it has done.
CREATE OR REPLACE FUNCTION reservation_claim(
    p_buyer bigint, p_ticket_type bigint, p_quantity integer, p_key text, p_hold interval
) RETURNS TABLE (
    reservation_id bigint, unit_price_minor bigint, created timestamptz, expires_at timestamptz,
    event bigint, currency text,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean,
    line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    ticket_type record;
    inventory tickets_inventory%ROWTYPE;
    own record;
    at timestamptz;
BEGIN
    -- After waiting for the lock, only the locked row is read again. So all that can refuse is on it, or is read below.
    UPDATE tickets_inventory i
       SET held = i.held + p_quantity, version = i.version + 1,
           reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + p_quantity
     WHERE i.ticket_type_id = p_ticket_type
       AND i.held::bigint + i.sold + p_quantity <= i.capacity
       AND NOT i.paused
       AND NOT i.line_first
       AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp())
       AND i.closes_at > clock_timestamp()
    RETURNING i.* INTO inventory;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    -- Under the lock: who changes an event's currency, or hides a type, locks its inventories first.
    SELECT t.price_minor, t.max_per_user, t.hidden, t.event_id, e.currency INTO ticket_type
      FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
     WHERE t.id = p_ticket_type;
    IF ticket_type.hidden THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_of_a_shown_type',
            MESSAGE = 'the ticket type is hidden from buyers';
    END IF;

    -- A live reservation that another transaction is ending still shows here as live. That transaction waits for
    -- our inventory. If the INSERT waited for it in turn, that would be a deadlock, so refuse now.
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
            MESSAGE = 'the buyer would have more tickets of this type than one person may';
    END IF;

    at := clock_timestamp();
    RETURN QUERY
    INSERT INTO tickets_reservation AS r
        (buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at,
         idempotency_key, key_of_batch, version)
    VALUES (p_buyer, p_ticket_type, p_quantity, ticket_type.price_minor, ticket_type.currency, 'held', at,
            at + p_hold, p_key, CASE WHEN p_key IS NOT NULL THEN false END, 1)
    RETURNING r.id, r.unit_price_minor, r.created, r.expires_at, ticket_type.event_id, r.currency::text,
        inventory.capacity, inventory.held, inventory.sold, inventory.opens_at, inventory.closes_at,
        inventory.paused, inventory.line_first, inventory.version,
        LEAST(r.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                              WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held'));
END
$$;
