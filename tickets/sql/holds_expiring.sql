-- Holds whose seconds left fell below one of the thresholds between two instants. A threshold that is longer than the
-- hold itself does not count.
SELECT r.id AS reservation, r.buyer_id AS buyer, r.expires_at
  FROM unnest(%(thresholds)s::int[]) AS t (seconds)
  JOIN tickets_reservation r
    ON r.state = 'held'
   AND r.expires_at > %(after)s + make_interval(secs => t.seconds)
   AND r.expires_at <= %(until)s + make_interval(secs => t.seconds)
   AND r.expires_at > r.created + make_interval(secs => t.seconds)
 ORDER BY r.expires_at
