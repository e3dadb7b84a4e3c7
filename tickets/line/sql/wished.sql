-- How many tickets of each type people in a line wish as their first choice, and how many are left. Hidden types for
-- which nobody waits are left out. Many people have the same wish, so each different wish is read only once.
SELECT t.id AS ticket_type, t.name, COALESCE(w.tickets, 0)::bigint AS wished, i.capacity - i.held - i.sold AS there
  FROM tickets_tickettype t
  JOIN tickets_inventory i ON i.ticket_type_id = t.id
  LEFT JOIN (
       SELECT (item.wish ->> 0)::bigint AS ticket_type, sum(same.people * (item.wish ->> 1)::bigint) AS tickets
         FROM (SELECT e.choices, count(*) AS people FROM line_entry e
                WHERE e.line_id = %(event)s AND e.state = 'waiting' GROUP BY e.choices) AS same,
              jsonb_array_elements(same.choices -> 0) AS item (wish)
        GROUP BY 1) w ON w.ticket_type = t.id
 WHERE t.event_id = %(event)s AND (NOT t.hidden OR w.tickets > 0)
 ORDER BY t.id
