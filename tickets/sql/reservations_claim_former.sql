-- Hold tickets of several types without a voucher. An earlier release calls it while a new one is rolled out. That
-- release checks beforehand whether a type is hidden.
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.refused, c.reservation_id, c.lead_id, c.quantity, c.unit_price_minor, c.created, c.expires_at, c.event,
           c.currency, c.ticket_type, c.capacity, c.held, c.sold, c.opens_at, c.closes_at, c.paused, c.line_first,
           c.version, c.next_release_at
      FROM reservations_claim(p_buyer, p_ticket_types, p_quantities, p_order, p_key, p_hold, NULL, 'counter') c;
END
$$;
