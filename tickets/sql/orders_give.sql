-- Give baskets of one event to buyers, in the order of the list, each whole or not at all.
--
-- p_baskets is [{"buyer": 7, "choices": [[[type, quantity], ...], ...]}, ...], of different buyers. A buyer gets the
-- first choice that is available and allowed. Return for each basket (`nth`, from 1) its order, or null. `own` is true
-- if a choice was available, but the buyer's own reservations or a limit refused it.
--
-- All inventories of the event are locked by id. After that the function waits for no reservation: if the buyer has a
-- live reservation of a type, a choice with this type is refused, as in reservation_claim. `paused` and the times of
-- the sale count here, but `line_first` does not, because these tickets go to the line. The caller leaves out hidden
-- types. Each table is read once for all baskets, and a loop counts down the tickets left.
CREATE OR REPLACE FUNCTION orders_give(p_event bigint, p_baskets jsonb, p_hold interval)
RETURNS TABLE (nth integer, order_id bigint, own boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_types bigint[];
    v_left integer[];
    v_before integer[];
    v_made integer[];
    v_orders bigint[];
    v_owns boolean[];
    v_choice record;
    v_at timestamptz;
    v_id bigint;
    v_place integer;
    v_ids bigint[] := '{}';
    v_leads bigint[] := '{}';
    v_buyers bigint[] := '{}';
    v_given_types bigint[] := '{}';
    v_quantities integer[] := '{}';
BEGIN
    SELECT array_agg(l.id), array_agg(l.tickets), array_agg(0) INTO v_types, v_left, v_made FROM (
        SELECT i.ticket_type_id AS id,
               CASE WHEN i.paused OR i.opens_at > clock_timestamp() OR i.closes_at <= clock_timestamp() THEN 0
                    ELSE i.capacity - i.held - i.sold END AS tickets
          FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event
         ORDER BY i.ticket_type_id FOR NO KEY UPDATE OF i
    ) l;
    v_before := v_left;
    v_at := clock_timestamp();
    v_orders := array_fill(NULL::bigint, ARRAY[jsonb_array_length(p_baskets)]);
    v_owns := array_fill(false, ARRAY[jsonb_array_length(p_baskets)]);
    FOR v_choice IN
        WITH wishes AS MATERIALIZED (
            SELECT b.nth, c.nth AS choice, (b.basket ->> 'buyer')::bigint AS buyer, w.nth AS item,
                   (w.wish ->> 0)::bigint AS ticket_type, (w.wish ->> 1)::integer AS quantity
              FROM jsonb_array_elements(p_baskets) WITH ORDINALITY AS b (basket, nth),
                   jsonb_array_elements(b.basket -> 'choices') WITH ORDINALITY AS c (items, nth),
                   jsonb_array_elements(c.items) WITH ORDINALITY AS w (wish, nth)
        ), mine AS MATERIALIZED (
            SELECT r.buyer_id, r.ticket_type_id, bool_or(r.state <> 'validated') AS is_live,
                   sum(r.quantity) AS tickets
              FROM tickets_reservation r
             WHERE r.buyer_id = ANY (ARRAY(SELECT DISTINCT d.buyer FROM wishes d))
               AND r.ticket_type_id = ANY (v_types) AND r.state IN ('held', 'paying', 'validated')
             GROUP BY r.buyer_id, r.ticket_type_id
        )
        SELECT w.nth::integer AS basket, w.buyer,
               array_agg(w.ticket_type ORDER BY w.item) AS types, array_agg(w.quantity ORDER BY w.item) AS quantities,
               bool_or(COALESCE(
                   w.quantity > t.max_per_user OR t.price_minor::numeric * w.quantity > 1000000000000000
                   OR m.is_live OR m.tickets + w.quantity > t.max_per_user, false)) AS is_own
          FROM wishes w
          LEFT JOIN tickets_tickettype t ON t.id = w.ticket_type
          LEFT JOIN mine m ON m.buyer_id = w.buyer AND m.ticket_type_id = w.ticket_type
         GROUP BY w.nth, w.choice, w.buyer ORDER BY w.nth, w.choice
    LOOP
        CONTINUE WHEN v_orders[v_choice.basket] IS NOT NULL OR EXISTS (
            SELECT FROM unnest(v_choice.types, v_choice.quantities) AS w (ticket_type, quantity)
             WHERE COALESCE(v_left[array_position(v_types, w.ticket_type)], 0) < w.quantity
        );
        IF v_choice.is_own THEN
            v_owns[v_choice.basket] := true;
            CONTINUE;
        END IF;
        v_owns[v_choice.basket] := false;
        FOR i IN 1 .. cardinality(v_choice.types) LOOP
            v_id := nextval('tickets_reservation_id_seq');
            v_place := array_position(v_types, v_choice.types[i]);
            v_left[v_place] := v_left[v_place] - v_choice.quantities[i];
            v_made[v_place] := v_made[v_place] + 1;
            v_ids := v_ids || v_id;
            v_leads := v_leads || v_orders[v_choice.basket];
            v_buyers := v_buyers || v_choice.buyer;
            v_given_types := v_given_types || v_choice.types[i];
            v_quantities := v_quantities || v_choice.quantities[i];
            v_orders[v_choice.basket] := COALESCE(v_orders[v_choice.basket], v_id);
        END LOOP;
    END LOOP;
    INSERT INTO tickets_reservation
        (id, lead_id, buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at,
         version)
    SELECT g.id, g.lead, g.buyer, t.id, g.quantity, t.price_minor, e.currency, 'held', v_at, v_at + p_hold, 1
      FROM unnest(v_ids, v_leads, v_buyers, v_given_types, v_quantities) AS g (id, lead, buyer, ticket_type, quantity)
      JOIN tickets_tickettype t ON t.id = g.ticket_type JOIN tickets_event e ON e.id = t.event_id;
    UPDATE tickets_inventory i
       SET held = i.held + g.tickets, reserved_tickets = i.reserved_tickets + g.tickets,
           reservations = i.reservations + g.made, version = i.version + 1
      FROM (SELECT u.id, u.before - u.after AS tickets, u.made
              FROM unnest(v_types, v_before, v_left, v_made) AS u (id, before, after, made)) g
     WHERE i.ticket_type_id = g.id AND g.made > 0;
    RETURN QUERY
    SELECT u.nth::integer, u.order_id, u.own
      FROM unnest(v_orders, v_owns) WITH ORDINALITY AS u (order_id, own, nth);
END
$$;
