-- Change the counters of one inventory, and return its new figures. The table's CHECK constraints refuse wrong
-- counters.
UPDATE tickets_inventory i
   SET held = i.held + %(held)s, sold = i.sold + %(sold)s, revenue_minor = i.revenue_minor + %(revenue_minor)s,
       reservations_paid = i.reservations_paid + %(paid)s,
       reservations_expired = i.reservations_expired + %(expired)s,
       payments_failed = i.payments_failed + %(failed)s,
       version = i.version + 1
  FROM tickets_tickettype t
 WHERE i.ticket_type_id = %(ticket_type)s AND t.id = i.ticket_type_id
RETURNING t.event_id AS event, i.ticket_type_id AS ticket_type, i.capacity, i.held, i.sold, i.opens_at, i.closes_at,
    i.paused, i.line_first, i.version,
    (SELECT min(h.expires_at) FROM tickets_reservation h
      WHERE h.ticket_type_id = i.ticket_type_id AND h.state = 'held') AS next_release_at
