-- Lock all inventories of an event, by id, and return how many tickets of each type can be given now: none of a hidden one.
-- The limit per person is read with them.
--
-- Two statements: the second has a new snapshot. After waiting for a lock, the first one would read only the locked row
-- again, and not that its ticket type was hidden meanwhile.
SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE t.event_id = %(event)s
 ORDER BY i.ticket_type_id FOR NO KEY UPDATE OF i;
SELECT i.ticket_type_id AS ticket_type, i.line_first, t.max_per_user,
       CASE WHEN t.hidden OR i.paused OR i.opens_at > clock_timestamp() OR i.closes_at <= clock_timestamp() THEN 0
            ELSE i.capacity - i.held - i.sold END AS tickets
  FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE t.event_id = %(event)s
 ORDER BY i.ticket_type_id
