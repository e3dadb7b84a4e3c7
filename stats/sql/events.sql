-- The figures of the events after (date, id), by date, without drafts. The events are limited before their counters are
-- summed, so that a page costs the same wherever it is and however many events there are.
SELECT e.id, e.name, e.date, e.currency,
       COALESCE(sum(i.reservations), 0)::bigint AS reservation_amount,
       COALESCE(sum(i.reserved_tickets), 0)::bigint AS reserved_tickets,
       COALESCE(sum(i.sold), 0)::bigint AS sold_amount,
       COALESCE(sum(i.revenue_minor), 0) AS revenue_minor
  FROM (SELECT id, name, date, currency FROM tickets_event
         WHERE (date, id) > (%(date)s, %(id)s) AND status <> 'draft'
         ORDER BY date, id LIMIT %(most)s) e
  LEFT JOIN tickets_tickettype t ON t.event_id = e.id
  LEFT JOIN tickets_inventory i ON i.ticket_type_id = t.id
 GROUP BY e.id, e.name, e.date, e.currency
 ORDER BY e.date, e.id
