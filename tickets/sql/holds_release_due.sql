-- Expire at most p_most due holds of one ticket type, and put their tickets back on sale. Return one row with the
-- buyer of each of these holds and the inventory's new figures, or no row if no hold was expired.
--
-- Reservations are locked first, then their vouchers by id, and the inventory last, as everywhere. Reservations that
-- another transaction has locked are skipped: that transaction decides about them, or a later call finds them again.
-- If this transaction has locked or written something before, holds with a locked voucher are skipped too, because to
-- wait for the voucher could be a deadlock.
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (
    buyers bigint[], event bigint, ticket_type bigint,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean, line_first boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();  -- an index finds what lies before an instant, not before a function
    is_first boolean := pg_current_xact_id_if_assigned() IS NULL;
    due bigint[];
    vouchers bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id), array_agg(DISTINCT d.voucher_id) FILTER (WHERE d.voucher_id IS NOT NULL)
      INTO due, vouchers FROM (
        SELECT r.id, r.voucher_id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= at
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    IF vouchers IS NOT NULL AND is_first THEN
        PERFORM FROM tickets_voucher v WHERE v.id = ANY (vouchers) ORDER BY v.id FOR NO KEY UPDATE;
    ELSIF vouchers IS NOT NULL THEN
        SELECT array_agg(l.id) INTO vouchers FROM (
            SELECT v.id FROM tickets_voucher v WHERE v.id = ANY (vouchers) FOR NO KEY UPDATE SKIP LOCKED
        ) l;
        SELECT array_agg(r.id) INTO due FROM tickets_reservation r
         WHERE r.id = ANY (due) AND (r.voucher_id IS NULL OR r.voucher_id = ANY (vouchers));
        IF due IS NULL THEN
            RETURN;
        END IF;
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
        i.paused, i.line_first, i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held');
END
$$;
