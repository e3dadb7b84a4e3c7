-- What cancelling an event would cost: its paid orders, and how their money would go back.
SELECT count(*) AS orders, COALESCE(sum(o.tickets), 0)::bigint AS tickets,
       count(*) FILTER (WHERE o.amount_minor = 0) AS free,
       count(*) FILTER (WHERE o.gateway = 'counter' AND o.left_minor > 0) AS by_hand,
       COALESCE(sum(o.left_minor) FILTER (WHERE o.gateway = 'counter'), 0)::bigint AS by_hand_minor,
       COALESCE(sum(o.left_minor) FILTER (WHERE o.gateway <> 'counter'), 0)::bigint AS by_gateway_minor
  FROM (SELECT p.id, p.gateway, p.amount_minor, p.amount_minor - p.refunded_minor AS left_minor, count(*) AS tickets
          FROM admission_ticket t
          JOIN tickets_reservation r ON r.id = t.reservation_id AND r.state = 'validated'
          JOIN checkout_payment p ON p.reservation_id = COALESCE(r.lead_id, r.id) AND p.status = 'SUCCESS'
         WHERE t.event_id = %(event)s
         GROUP BY p.id) o
