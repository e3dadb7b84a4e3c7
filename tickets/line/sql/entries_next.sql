-- The entries to try next, in order of place, locked: those whose turn has not come, and those before them that wish
-- what is there again. `types` and `tickets_left` are what there is of each ticket type.
--
-- Its caller has locked the line and the inventories. Whoever changes a waiting entry waits for neither.
SELECT e.id, e.place, e.buyer_id, e.choices
  FROM line_entry e
 WHERE e.line_id = %(event)s AND e.state = 'waiting'
   AND (e.place > %(served)s OR EXISTS (
        SELECT FROM jsonb_array_elements(e.choices) AS choice (items)
         WHERE NOT EXISTS (
               SELECT FROM jsonb_array_elements(choice.items) AS item (wish)
                 LEFT JOIN unnest(%(types)s::bigint[], %(tickets_left)s::integer[]) AS there (ticket_type, tickets)
                   ON there.ticket_type = (item.wish ->> 0)::bigint
                WHERE COALESCE(there.tickets, 0) < (item.wish ->> 1)::integer)))
 ORDER BY e.place LIMIT %(most)s
   FOR NO KEY UPDATE OF e
