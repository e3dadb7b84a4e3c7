-- The latest activity. The latest rows of each sort are found by an index; the latest of all these rows are returned.
SELECT h.id, h.reservation, h.at, h.what, h.quantity, h.unit_price_minor, t.name AS ticket_type, e.name AS event, h.currency,
       e.id AS event_id, e.date AS event_date
  FROM (
    (SELECT id, id AS reservation, created AS at, 'reserved' AS what, ticket_type_id, quantity, unit_price_minor, currency
       FROM tickets_reservation ORDER BY id DESC LIMIT %(most)s)
    UNION ALL
    (SELECT id, id, validated_at, 'paid', ticket_type_id, quantity, unit_price_minor, currency
       FROM tickets_reservation WHERE validated_at IS NOT NULL ORDER BY validated_at DESC LIMIT %(most)s)
    UNION ALL
    (SELECT id, id, ended_at, CASE WHEN validated_at IS NULL THEN state ELSE 'returned' END, ticket_type_id, quantity,
            unit_price_minor, currency
       FROM tickets_reservation WHERE ended_at IS NOT NULL ORDER BY ended_at DESC LIMIT %(most)s)
    UNION ALL
    (SELECT s.id, r.id, s.at, 'failed', r.ticket_type_id, r.quantity, r.unit_price_minor, r.currency
       FROM (SELECT id, at, payment_number FROM checkout_paymentstep WHERE status = 'FAILURE'
              ORDER BY id DESC LIMIT %(most)s) s
       JOIN checkout_payment p ON p.id = s.payment_number
       JOIN tickets_reservation r ON r.id = p.reservation_id)
  ) h
  JOIN tickets_tickettype t ON t.id = h.ticket_type_id
  JOIN tickets_event e ON e.id = t.event_id
 ORDER BY h.at DESC, h.id DESC, h.what
 LIMIT %(most)s
