-- The price of a ticket with a voucher, in minor units. It is never higher than the price without it, and never below
-- 0. A percentage is rounded to the nearest minor unit, and half a unit in favour of the buyer.
-- `voucher_rules.price_with` does the same.
CREATE OR REPLACE FUNCTION voucher_price(p_rule text, p_value bigint, p_price bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_rule
        WHEN 'fixed' THEN LEAST(p_price, p_value)
        WHEN 'percent' THEN (p_price * (100 - p_value) + 49) / 100
        WHEN 'less' THEN GREATEST(p_price - p_value, 0)
        ELSE p_price
    END
$$;
