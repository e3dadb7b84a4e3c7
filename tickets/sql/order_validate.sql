-- Validate locked reservations that are being paid for, and count their tickets as sold. p_minor has the revenue of
-- each, in the same order. The inventories are changed by id, and their new figures are returned. If one of the
-- reservations is not being paid for, no row is returned, and the caller rolls the transaction back.
CREATE OR REPLACE FUNCTION order_validate(p_reservations bigint[], p_minor bigint[], p_now timestamptz)
RETURNS TABLE (
    event bigint, ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz,
    closes_at timestamptz, paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    moved integer;
    each record;
BEGIN
    UPDATE tickets_reservation r SET state = 'validated', validated_at = p_now, version = r.version + 1
     WHERE r.id = ANY (p_reservations) AND r.state = 'paying';
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(p_reservations) THEN
        RETURN;
    END IF;
    FOR each IN
        SELECT r.ticket_type_id, r.quantity, given.minor
          FROM unnest(p_reservations, p_minor) AS given (id, minor)
          JOIN tickets_reservation r ON r.id = given.id
         ORDER BY r.ticket_type_id
    LOOP
        RETURN QUERY
        SELECT * FROM inventory_change(each.ticket_type_id, -each.quantity, each.quantity, each.minor, 1, 0, 0);
    END LOOP;
END
$$;
