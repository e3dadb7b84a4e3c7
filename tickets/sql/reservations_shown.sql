-- The reservations on buyers' own screens: live ones, the newest paid ones, and those that ended a short time ago.
SELECT id FROM (
    SELECT id, state, ended_at,
           row_number() OVER (PARTITION BY buyer_id, state ORDER BY id DESC) AS nth
      FROM tickets_reservation WHERE buyer_id = ANY (%(buyers)s)
) r
WHERE state IN ('held', 'paying')
   OR (state = 'validated' AND nth <= %(validated)s)
   OR (state IN ('expired', 'released') AND ended_at > %(since)s AND nth <= 50)
