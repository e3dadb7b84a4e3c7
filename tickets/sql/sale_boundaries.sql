-- Events with a ticket type whose sale opened or closed between two instants.
SELECT DISTINCT t.event_id AS event
  FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE (i.opens_at > %(after)s AND i.opens_at <= %(until)s)
    OR (i.closes_at > %(after)s AND i.closes_at <= %(until)s)
