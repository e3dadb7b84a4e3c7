-- Lock and return the entries to try next, in the order of their places. These are entries whose turn came before and
-- whose wish is available again, and entries whose turn has not come yet. `tickets_left` says how many tickets of
-- each of the `types` are left, and `limits` how many one person may have. Nobody gets more than that, even with a
-- wish from before the limit was lowered.
--
-- The caller has locked the line and the inventories. A transaction that changes a waiting entry waits for neither.
-- The wishes of entries whose turn has not come are not read here. Among the others, each different wish is read only
-- once.
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
