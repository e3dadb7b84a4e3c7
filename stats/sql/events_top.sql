-- The events that are highest by {figure}, with their figures. They are found among the events with the highest ranks
-- by {column}, and the newest events, because these may have no rank yet. Drafts are left out before either group is
-- limited, so that they take no place in it.
--
-- Because of OFFSET 0 the planner looks up each ranked event by its key, in the order of the index.
SELECT e.id, e.name, e.date, e.currency, f.*,
       f.revenue_minor * COALESCE((%(weights)s::jsonb ->> e.currency)::numeric, 1) AS profit
  FROM ((SELECT r.event_id AS id
           FROM stats_eventrank r
          CROSS JOIN LATERAL (SELECT status FROM tickets_event WHERE id = r.event_id OFFSET 0) s
          WHERE s.status <> 'draft'
          ORDER BY r.{column} DESC, r.date, r.event_id LIMIT %(looked_at)s)
        UNION
        (SELECT id FROM tickets_event WHERE status <> 'draft' ORDER BY id DESC LIMIT %(looked_at)s)) c
  JOIN tickets_event e ON e.id = c.id
  CROSS JOIN LATERAL (
       SELECT COALESCE(sum(i.reservations), 0)::bigint AS reservation_amount,
              COALESCE(sum(i.reserved_tickets), 0)::bigint AS reserved_tickets,
              COALESCE(sum(i.sold), 0)::bigint AS sold_amount,
              COALESCE(sum(i.revenue_minor), 0) AS revenue_minor
         FROM tickets_tickettype t JOIN tickets_inventory i ON i.ticket_type_id = t.id
        WHERE t.event_id = e.id) f
 ORDER BY {figure} DESC, e.date, e.id
 LIMIT %(most)s
