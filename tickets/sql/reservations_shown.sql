-- Return the reservations on buyers' own screens, the newest first: the live ones, the newest paid ones, and those that
-- ended lately. Each comes with its event and the text of its voucher. A function keeps the plan, which takes longer to
-- make than to carry out.
CREATE OR REPLACE FUNCTION reservations_shown(p_buyers bigint[], p_since timestamptz, p_validated integer)
RETURNS TABLE (reservation tickets_reservation, event_id bigint, voucher_text text)
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT s.r, t.event_id, v.text::text
      FROM (SELECT r, row_number() OVER (PARTITION BY r.buyer_id, r.state ORDER BY r.id DESC) AS nth
              FROM tickets_reservation r WHERE r.buyer_id = ANY (p_buyers)) s
      JOIN tickets_tickettype t ON t.id = (s.r).ticket_type_id
      LEFT JOIN tickets_voucher v ON v.id = (s.r).voucher_id
     WHERE (s.r).state IN ('held', 'paying')
        OR ((s.r).state = 'validated' AND s.nth <= p_validated)
        OR ((s.r).state IN ('expired', 'released') AND (s.r).ended_at > p_since AND s.nth <= 50)
     ORDER BY (s.r).id DESC;
END
$$;
