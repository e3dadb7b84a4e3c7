-- The entries to try next, in order of place, locked: first those whose turn came before and that wish what is there
-- again, then those whose turn has not come. `types` and `tickets_left` are what there is of each ticket type, `limits`
-- what one person may have of it: nobody is given more, also who wished more before the limit was lowered.
--
-- Its caller has locked the line and the inventories. Whoever changes a waiting entry waits for neither. The wishes of
-- those whose turn has not come are not read here; of the others each different wish is taken apart once.
WITH possible AS MATERIALIZED (
    SELECT wished.choices
      FROM (SELECT DISTINCT w.choices FROM line_entry w
             WHERE w.line_id = %(event)s AND w.state = 'waiting' AND w.turn_at IS NOT NULL) AS wished
     WHERE EXISTS (
           SELECT FROM jsonb_array_elements(wished.choices) AS choice (items)
            WHERE NOT EXISTS (
                  SELECT FROM jsonb_array_elements(choice.items) AS item (wish)
                    LEFT JOIN unnest(%(types)s::bigint[], %(tickets_left)s::integer[], %(limits)s::integer[])
                         AS there (ticket_type, tickets, most)
                      ON there.ticket_type = (item.wish ->> 0)::bigint
                   WHERE COALESCE(there.tickets, 0) < LEAST((item.wish ->> 1)::integer, there.most)))
)
SELECT e.id, e.place, e.buyer_id, e.choices
  FROM line_entry e
 WHERE e.id = ANY (ARRAY(
           SELECT m.id FROM line_entry m
            WHERE m.line_id = %(event)s AND m.state = 'waiting' AND m.turn_at IS NOT NULL
              AND m.choices = ANY (ARRAY(SELECT p.choices FROM possible p))
            ORDER BY m.place LIMIT %(most)s)
        || ARRAY(SELECT n.entry FROM line_turns_next(%(event)s, %(served)s, %(most)s) n))
   AND e.state = 'waiting'
 ORDER BY e.place LIMIT %(most)s
   FOR NO KEY UPDATE OF e
