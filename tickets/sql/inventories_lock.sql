-- Lock all inventories of an event by id. Return for each ticket type how many tickets can be given now, the limit per
-- person, and whether a line comes first. Tickets of a hidden type cannot be given.
--
-- These are two statements, because the second one has a new snapshot. After the wait for a lock, the first one reads
-- only the locked row again. It would not see that the ticket type was hidden meanwhile.
SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE t.event_id = %(event)s
 ORDER BY i.ticket_type_id FOR NO KEY UPDATE OF i;
SELECT i.ticket_type_id AS ticket_type, i.line_first, t.max_per_user,
       CASE WHEN t.hidden OR i.paused OR i.opens_at > clock_timestamp() OR i.closes_at <= clock_timestamp() THEN 0
            ELSE i.capacity - i.held - i.sold END AS tickets
  FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
 WHERE t.event_id = %(event)s
 ORDER BY i.ticket_type_id
