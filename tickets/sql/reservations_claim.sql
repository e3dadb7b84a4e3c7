-- Hold tickets of several types of one event for a buyer, or do nothing at all. An order is made in this one
-- statement.
--
-- With p_order, the id of an unpaid order of the buyer, the tickets are added to this order and end when it ends.
-- Return the new reservations in the order of p_ticket_types; or one row with `refused`, the first ticket type that
-- is refused; or no row if the order or the voucher cannot be used. Raise an error with the name of a constraint if
-- another request of the buyer was quicker.
--
-- p_voucher is the text of a voucher of the event, or null. Tickets of the types that it covers get its price and its
-- rights, and each of these tickets is one use. The voucher must cover at least one of the types.
--
-- p_request is the kind of the request: 'one' for one type, 'batch', or 'counter' for a sale by staff, who can sell
-- hidden types. Null means that the kind is not known. Buyers can claim a hidden type only with a voucher for which
-- staff chose this type.
--
-- The order's lead is locked first, then the voucher, then the inventories by id. After the lock of an inventory, the
-- function waits for no reservation and no voucher.
--
-- The function keeps its plans, because a new plan for each length of the arrays would cost more than all the rest. The
-- plans may be made while the tables are nearly empty, so they avoid sequential scans.
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval,
    p_voucher text, p_request text
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz, voucher text, discount_minor bigint
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_expires_at timestamptz;
    v_in_order integer;
    v_begun boolean;
    v_event bigint;
    v_voucher tickets_voucher%ROWTYPE;
    v_covered bigint[] := '{}';
    v_locked bigint[];
    v_refused bigint;
    v_first bigint;
    v_at timestamptz;
BEGIN
    IF p_order IS NOT NULL THEN
        -- Whoever pays for the order, adds to it or extends it locks its lead first.
        PERFORM FROM tickets_reservation l
          WHERE l.id = p_order AND l.buyer_id = p_buyer AND l.lead_id IS NULL FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT min(r.expires_at), count(*), bool_or(r.state <> 'held'), min(t.event_id)
          INTO v_expires_at, v_in_order, v_begun, v_event
          FROM tickets_reservation r JOIN tickets_tickettype t ON t.id = r.ticket_type_id
         WHERE (r.id = p_order OR r.lead_id = p_order) AND r.state IN ('held', 'paying', 'validated');
        IF v_begun OR v_in_order NOT BETWEEN 1 AND 20 - cardinality(p_ticket_types)
           OR v_expires_at <= clock_timestamp() THEN
            RETURN;
        END IF;
    ELSE
        SELECT t.event_id INTO v_event FROM tickets_tickettype t WHERE t.id = p_ticket_types[1];
    END IF;

    IF p_voucher IS NOT NULL THEN
        -- Who uses the voucher, gives a use back or edits it waits here, and then all of it is read again.
        PERFORM FROM tickets_voucher v
          WHERE v.event_id = v_event AND accounts_name_key(v.text) = accounts_name_key(p_voucher) FOR NO KEY UPDATE;
        SELECT v.* INTO v_voucher FROM tickets_voucher v
         WHERE v.event_id = v_event AND accounts_name_key(v.text) = accounts_name_key(p_voucher)
           AND v.ended_at IS NULL
           AND (v.valid_from IS NULL OR v.valid_from <= clock_timestamp())
           AND (v.valid_until IS NULL OR v.valid_until > clock_timestamp());
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT array_agg(t.id) INTO v_covered FROM tickets_tickettype t
         WHERE t.id = ANY (p_ticket_types) AND voucher_covers(v_voucher.id, v_voucher.all_types, t.id, t.hidden);
        IF v_covered IS NULL OR v_voucher.used::bigint + (
            SELECT sum(w.quantity) FROM unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity)
             WHERE w.ticket_type = ANY (v_covered)) > v_voucher.most_uses THEN
            RETURN;
        END IF;
    END IF;

    -- After waiting for a lock, only the locked row is read again. So all of it that can refuse is asked here.
    SELECT array_agg(l.ticket_type_id) INTO v_locked FROM (
        SELECT i.ticket_type_id
          FROM tickets_inventory i
          JOIN unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity) ON w.ticket_type = i.ticket_type_id
         WHERE i.held::bigint + i.sold + w.quantity <= i.capacity
           AND NOT i.paused
           AND NOT i.line_first
           AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp()
                OR (v_voucher.opens_early AND i.ticket_type_id = ANY (v_covered)))
           AND i.closes_at > clock_timestamp()
         ORDER BY i.ticket_type_id
           FOR NO KEY UPDATE OF i
    ) l;

    -- Under the locks and with a new snapshot. A live reservation that another transaction is ending still shows as
    -- live. That transaction waits for our inventory. If the INSERT waited for it in turn, that would be a deadlock.
    SELECT w.ticket_type INTO v_refused
      FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
      LEFT JOIN tickets_tickettype t ON t.id = w.ticket_type
     WHERE COALESCE(w.ticket_type <> ALL (v_locked), true)
        OR t.event_id IS DISTINCT FROM v_event
        OR (t.hidden AND p_request IS DISTINCT FROM 'counter'
            AND (p_voucher IS NULL OR v_voucher.all_types OR w.ticket_type <> ALL (v_covered)))
        OR t.price_minor::numeric * w.quantity > 1000000000000000
        OR (SELECT bool_or(r.state <> 'validated') OR sum(r.quantity) + w.quantity > t.max_per_user
              FROM tickets_reservation r
             WHERE r.buyer_id = p_buyer AND r.ticket_type_id = w.ticket_type
               AND r.state IN ('held', 'paying', 'validated'))
        OR w.quantity > t.max_per_user
     ORDER BY w.nth LIMIT 1;
    IF FOUND THEN
        refused := v_refused;
        RETURN NEXT;
        RETURN;
    END IF;

    v_at := clock_timestamp();
    v_first := nextval('tickets_reservation_id_seq');
    RETURN QUERY
    WITH changed AS (
        UPDATE tickets_inventory i
           SET held = i.held + w.quantity, version = i.version + 1,
               reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + w.quantity
          FROM unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity)
         WHERE i.ticket_type_id = w.ticket_type
        RETURNING i.*
    ), made AS (
        INSERT INTO tickets_reservation AS r
            (id, lead_id, buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at,
             idempotency_key, key_of_batch, version, voucher_id, discount_minor)
        SELECT CASE WHEN w.nth = 1 THEN v_first ELSE nextval('tickets_reservation_id_seq') END,
               CASE WHEN w.nth > 1 OR p_order IS NOT NULL THEN COALESCE(p_order, v_first) END,
               p_buyer, w.ticket_type, w.quantity, COALESCE(d.price_minor, t.price_minor), e.currency, 'held', v_at,
               COALESCE(v_expires_at, v_at + p_hold),
               CASE WHEN w.nth = 1 THEN p_key END,
               CASE WHEN w.nth = 1 AND p_key IS NOT NULL AND p_request <> 'counter' THEN p_request = 'batch' END, 1,
               CASE WHEN d.price_minor IS NOT NULL THEN v_voucher.id END, t.price_minor - d.price_minor
          FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
          JOIN tickets_tickettype t ON t.id = w.ticket_type
          JOIN tickets_event e ON e.id = t.event_id
          CROSS JOIN LATERAL (
               SELECT CASE WHEN w.ticket_type = ANY (v_covered) THEN
                   voucher_price(v_voucher.price_rule, v_voucher.price_value, t.price_minor) END AS price_minor) d
         ORDER BY w.nth
        RETURNING r.*
    )
    SELECT NULL::bigint, m.id, m.lead_id, m.quantity, m.unit_price_minor, m.created, m.expires_at, v_event,
           m.currency::text, c.ticket_type_id, c.capacity, c.held, c.sold, c.opens_at, c.closes_at, c.paused,
           c.line_first, c.version,
           LEAST(m.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                                 WHERE h.ticket_type_id = m.ticket_type_id AND h.state = 'held')),
           CASE WHEN m.voucher_id IS NOT NULL THEN v_voucher.text::text END, m.discount_minor
      FROM made m JOIN changed c ON c.ticket_type_id = m.ticket_type_id
     ORDER BY array_position(p_ticket_types, m.ticket_type_id);
END
$$;
