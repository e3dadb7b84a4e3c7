-- The ticket types that people in a drawn line wish: those whose turn came without success, and those behind the last
-- place that was served. Many people have the same wish, so each different wish is read only once.
--
-- A choice that can never be given does not count: it has a type that is hidden or whose sale has ended, or more
-- tickets than the capacity. Staff may change these facts.
SELECT DISTINCT (item.wish ->> 0)::bigint AS ticket_type
  FROM (SELECT e.choices FROM line_entry e
         WHERE e.line_id = %(event)s AND e.state = 'waiting' AND e.turn_at IS NOT NULL
         UNION
        SELECT e.choices FROM line_entry e
         WHERE e.line_id = %(event)s AND e.place > %(served)s AND e.state = 'waiting') AS wished,
       jsonb_array_elements(wished.choices) AS choice (items), jsonb_array_elements(choice.items) AS item (wish)
 WHERE NOT EXISTS (
       SELECT FROM jsonb_array_elements(choice.items) AS part (wish)
         LEFT JOIN tickets_tickettype t ON t.id = (part.wish ->> 0)::bigint AND NOT t.hidden
         LEFT JOIN tickets_inventory i ON i.ticket_type_id = t.id AND i.closes_at > clock_timestamp()
        WHERE COALESCE(i.capacity, 0) < LEAST((part.wish ->> 1)::integer, t.max_per_user))
