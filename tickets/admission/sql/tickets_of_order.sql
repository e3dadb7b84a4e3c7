-- All tickets of an order, by reservation and seat, with the fields for pages. The query begins with the reservations,
-- because indexes find those of an order. There is no index of tickets by order.
SELECT k.id, k.reservation_id, k.event_id, k.seat, k.serial, k.issue, k.holder, k.handed_to, k.state, k.admitted_at,
       k.admitted_gate, r.ticket_type_id AS ticket_type, t.name AS ticket_type_name, e.name AS event_name,
       e.date AS event_date, e.ends_at AS event_ends_at, e.time_zone AS event_time_zone, e.status AS event_status,
       e.venue AS event_venue, e.address AS event_address, e.calendar_version AS event_calendar_version,
       COALESCE(r.lead_id, r.id) AS order
  FROM tickets_reservation r
  JOIN admission_ticket k ON k.reservation_id = r.id
  JOIN tickets_tickettype t ON t.id = r.ticket_type_id
  JOIN tickets_event e ON e.id = k.event_id
 WHERE r.id = %(order)s OR r.lead_id = %(order)s
 ORDER BY k.reservation_id, k.seat
