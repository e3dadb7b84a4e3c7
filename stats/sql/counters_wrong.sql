-- The ticket types whose counters do not agree with their reservations, or exceed the capacity.
SELECT i.ticket_type_id, i.capacity, i.held, i.sold, r.held AS really_held, r.sold AS really_sold
  FROM tickets_inventory i, LATERAL (
    SELECT COALESCE(sum(quantity) FILTER (WHERE state IN ('held', 'paying')), 0) AS held,
           COALESCE(sum(quantity) FILTER (WHERE state = 'validated'), 0) AS sold
      FROM tickets_reservation WHERE ticket_type_id = i.ticket_type_id) r
 WHERE (i.held, i.sold) <> (r.held, r.sold) OR i.held + i.sold > i.capacity
