-- The figures of /metrics, in one row. Counts of rows stop at %(limit)s, which limits their cost.
SELECT count(*) FILTER (WHERE i.held + i.sold > i.capacity) AS oversold_types,
       COALESCE(sum(i.capacity - i.held - i.sold) FILTER (WHERE v.status = 'on_sale' AND i.closes_at > %(now)s), 0) AS available,
       COALESCE(sum(i.held), 0) AS held,
       COALESCE(sum(i.sold), 0) AS sold,
       COALESCE(sum(i.reservations), 0) AS reservations,
       COALESCE(sum(i.reserved_tickets), 0) AS reserved_tickets,
       COALESCE(sum(i.reservations_paid), 0) AS reservations_paid,
       COALESCE(sum(i.reservations_expired), 0) AS reservations_expired,
       COALESCE(sum(i.payments_failed), 0) AS payments_failed,
       (SELECT COALESCE(json_object_agg(m.currency, m.minor), '{}') FROM (
            SELECT e.currency, sum(r.revenue_minor) AS minor
              FROM tickets_inventory r
              JOIN tickets_tickettype t ON t.id = r.ticket_type_id
              JOIN tickets_event e ON e.id = t.event_id
             GROUP BY e.currency) m) AS revenue_minor,
       (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'paying' LIMIT %(limit)s) p) AS paying,
       (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'paying'
           AND paying_since < %(doubtful_since)s LIMIT %(limit)s) p) AS in_doubt,
       (SELECT count(*) FROM (SELECT FROM tickets_reservation WHERE state = 'held'
           AND expires_at < %(now)s LIMIT %(limit)s) h) AS holds_due,
       (SELECT COALESCE(extract(epoch FROM %(now)s - min(expires_at)), 0) FROM tickets_reservation
         WHERE state = 'held' AND expires_at < %(now)s) AS hold_late_seconds,
       (SELECT COALESCE(extract(epoch FROM %(now)s - min(next_look_at)), 0) FROM checkout_payment
         WHERE next_look_at < %(now)s) AS payment_late_seconds,
       (SELECT COALESCE(json_object_agg(o.cause, o.number), '{}') FROM (
            SELECT cause, count(*) AS number FROM checkout_incident WHERE closed_at IS NULL GROUP BY cause) o) AS incidents,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT count(*) FROM pg_stat_replication WHERE COALESCE(state, 'streaming') = 'streaming') AS standbys
  FROM tickets_inventory i
  JOIN tickets_tickettype k ON k.id = i.ticket_type_id
  JOIN tickets_event v ON v.id = k.event_id
