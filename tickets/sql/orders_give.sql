-- Give baskets of one event to buyers, in the order of the list, each whole or not at all.
--
-- p_baskets: [{"buyer": 7, "choices": [[[type, quantity], ...], ...]}, ...]. The first choice that is there is given.
-- Returns for each basket the order it became, or null and whether only the buyer's own reservations or limit refused it.
--
-- Locks all inventories of the event by id, and then waits for no reservation: a live one of the buyer's refuses, as in
-- reservation_claim. It obeys `paused` and the sale's times, and not `line_first`: this is what gives to the line.
CREATE OR REPLACE FUNCTION orders_give(p_event bigint, p_baskets jsonb, p_hold interval)
RETURNS TABLE (nth integer, order_id bigint, own boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_types bigint[];
    v_left integer[];
    v_before integer[];
    v_made integer[];
    v_basket record;
    v_choice jsonb;
    v_id bigint;
    v_own boolean;
    v_at timestamptz;
    v_item record;
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
    FOR v_basket IN SELECT b.basket, b.nth FROM jsonb_array_elements(p_baskets) WITH ORDINALITY AS b (basket, nth) LOOP
        nth := v_basket.nth;
        order_id := NULL;
        own := false;
        FOR v_choice IN SELECT c.items FROM jsonb_array_elements(v_basket.basket -> 'choices') AS c (items) LOOP
            CONTINUE WHEN EXISTS (
                SELECT FROM jsonb_array_elements(v_choice) AS w (wish)
                 WHERE COALESCE(v_left[array_position(v_types, (w.wish ->> 0)::bigint)], 0) < (w.wish ->> 1)::integer
            );
            SELECT bool_or(
                (w.wish ->> 1)::integer > t.max_per_user
                OR t.price_minor::numeric * (w.wish ->> 1)::integer > 1000000000000000
                OR COALESCE((SELECT bool_or(r.state <> 'validated')
                                    OR sum(r.quantity) + (w.wish ->> 1)::integer > t.max_per_user
                               FROM tickets_reservation r
                              WHERE r.buyer_id = (v_basket.basket ->> 'buyer')::bigint AND r.ticket_type_id = t.id
                                AND r.state IN ('held', 'paying', 'validated')), false))
              INTO v_own
              FROM jsonb_array_elements(v_choice) AS w (wish)
              JOIN tickets_tickettype t ON t.id = (w.wish ->> 0)::bigint;
            IF v_own THEN
                own := true;
                CONTINUE;
            END IF;
            FOR v_item IN
                SELECT (w.wish ->> 0)::bigint AS ticket_type, (w.wish ->> 1)::integer AS quantity
                  FROM jsonb_array_elements(v_choice) WITH ORDINALITY AS w (wish, place) ORDER BY w.place
            LOOP
                INSERT INTO tickets_reservation AS r
                    (lead_id, buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created,
                     expires_at, version)
                SELECT order_id, (v_basket.basket ->> 'buyer')::bigint, t.id, v_item.quantity, t.price_minor, e.currency,
                       'held', v_at, v_at + p_hold, 1
                  FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
                 WHERE t.id = v_item.ticket_type
                RETURNING r.id INTO v_id;
                order_id := COALESCE(order_id, v_id);
                v_left[array_position(v_types, v_item.ticket_type)] :=
                    v_left[array_position(v_types, v_item.ticket_type)] - v_item.quantity;
                v_made[array_position(v_types, v_item.ticket_type)] :=
                    v_made[array_position(v_types, v_item.ticket_type)] + 1;
            END LOOP;
            own := false;
            EXIT;
        END LOOP;
        RETURN NEXT;
    END LOOP;
    UPDATE tickets_inventory i
       SET held = i.held + g.tickets, reserved_tickets = i.reserved_tickets + g.tickets,
           reservations = i.reservations + g.made, version = i.version + 1
      FROM (SELECT u.id, u.before - u.after AS tickets, u.made
              FROM unnest(v_types, v_before, v_left, v_made) AS u (id, before, after, made)) g
     WHERE i.ticket_type_id = g.id AND g.made > 0;
END
$$;
