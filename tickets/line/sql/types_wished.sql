-- The ticket types that somebody in a drawn line waits for, without hidden ones: those whose turn came, and those after
-- the last place that was served. Many wish the same: each wish is taken apart once.
SELECT DISTINCT t.id AS ticket_type
  FROM (SELECT e.choices FROM line_entry e
         WHERE e.line_id = %(event)s AND e.state = 'waiting' AND e.turn_at IS NOT NULL
         UNION
        SELECT e.choices FROM line_entry e
         WHERE e.line_id = %(event)s AND e.place > %(served)s AND e.state = 'waiting') AS wished,
       jsonb_array_elements(wished.choices) AS choice (items), jsonb_array_elements(choice.items) AS item (wish)
  JOIN tickets_tickettype t ON t.id = (item.wish ->> 0)::bigint AND NOT t.hidden
