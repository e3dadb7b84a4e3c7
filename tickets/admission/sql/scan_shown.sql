-- A scan as the gate that made it is answered: its result, its ticket (null: unknown), and the scan that had admitted it.
SELECT s.id, s.scan_id, s.event_id, s.result, s.at, s.gate, s.recorded_at, a.username AS actor__username,
       f.scan_id AS first__scan_id, f.at AS first__at, f.gate AS first__gate, fa.username AS first__actor__username,
       t.id AS ticket__id, t.serial AS ticket__serial, t.state AS ticket__state, t.seat AS ticket__seat,
       t.holder AS ticket__holder, t.handed_to AS ticket__handed_to, t.event_id AS ticket__event_id,
       t.issue AS ticket__issue, COALESCE(r.lead_id, r.id) AS ticket__order, COALESCE(l.number, 1) AS ticket__order_number,
       r.quantity AS ticket__seats, r.ticket_type_id AS ticket__ticket_type, tt.name AS ticket__ticket_type_name,
       e.name AS ticket__event_name, b.username AS ticket__username, b.is_guest AS ticket__is_guest,
       b.contact_name AS ticket__contact_name, b.email AS ticket__email, b.contact_email AS ticket__contact_email
  FROM admission_scan s
  JOIN accounts_user a ON a.id = s.actor_id
  LEFT JOIN admission_scan f ON f.id = s.first_id
  LEFT JOIN accounts_user fa ON fa.id = f.actor_id
  LEFT JOIN admission_ticket t ON t.id = s.ticket_id
  LEFT JOIN tickets_reservation r ON r.id = t.reservation_id
  LEFT JOIN admission_orderlink l ON l.reservation_id = COALESCE(r.lead_id, r.id)
  LEFT JOIN tickets_tickettype tt ON tt.id = r.ticket_type_id
  LEFT JOIN tickets_event e ON e.id = t.event_id
  LEFT JOIN accounts_user b ON b.id = r.buyer_id
 WHERE s.id = %(scan)s
