-- Hold tickets of several types. An earlier release calls it while a new one is rolled out. For a claim without a
-- voucher that release checks beforehand whether a type is hidden. It also calls this for sales at the counter.
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval,
    p_voucher text
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz, voucher text, discount_minor bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.*
      FROM reservations_claim(p_buyer, p_ticket_types, p_quantities, p_order, p_key, p_hold, p_voucher,
                              CASE WHEN p_voucher IS NULL THEN 'counter' END) c;
END
$$;
