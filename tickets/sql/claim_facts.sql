-- All facts that decide a claim, at one instant of the database's clock. A due hold of the buyer does not count.
-- `statement_timestamp()` stays the same during the statement, so that an index finds the due holds. With a running
-- clock, every hold would be read.
SELECT statement_timestamp() AS now, i.capacity, i.held, i.sold, i.opens_at, i.closes_at, i.paused, i.line_first,
       t.max_per_user, t.price_minor, t.hidden, e.status, own.live_reservation, COALESCE(own.owned, 0) AS owned,
       EXISTS (SELECT FROM tickets_reservation r WHERE r.ticket_type_id = t.id AND r.state = 'held'
                  AND r.expires_at <= statement_timestamp()) AS due_holds,
       (SELECT min(r.expires_at) FROM tickets_reservation r WHERE r.ticket_type_id = t.id
           AND r.state = 'held' AND r.expires_at > statement_timestamp()) AS next_release_at
  FROM tickets_tickettype t
  JOIN tickets_event e ON e.id = t.event_id
  JOIN tickets_inventory i ON i.ticket_type_id = t.id
  LEFT JOIN LATERAL (
       SELECT sum(r.quantity) AS owned, max(r.id) FILTER (WHERE r.state <> 'validated') AS live_reservation
         FROM tickets_reservation r
        WHERE r.buyer_id = %(buyer)s AND r.ticket_type_id = t.id
          AND (r.state IN ('paying', 'validated') OR (r.state = 'held' AND r.expires_at > statement_timestamp()))
  ) own ON true
 WHERE t.id = %(ticket_type)s
