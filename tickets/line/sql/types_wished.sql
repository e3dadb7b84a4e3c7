-- The ticket types that somebody in an event's line waits for, without hidden ones. Many wish the same: each wish is taken
-- apart once.
SELECT DISTINCT t.id AS ticket_type
  FROM (SELECT DISTINCT e.choices FROM line_entry e WHERE e.line_id = %s AND e.state = 'waiting') AS wished,
       jsonb_array_elements(wished.choices) AS choice (items), jsonb_array_elements(choice.items) AS item (wish)
  JOIN tickets_tickettype t ON t.id = (item.wish ->> 0)::bigint AND NOT t.hidden
