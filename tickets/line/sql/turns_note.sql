-- Record the outcome of the turns of entries that the caller has locked, and owe a mail to each owner who got a hold.
WITH noted AS (
    UPDATE line_entry e
       SET state = t.state, order_id = t.order_id, turn_at = COALESCE(e.turn_at, %(now)s),
           look_by = CASE t.state WHEN 'given' THEN %(look_by)s::timestamptz END
      FROM unnest(%(ids)s::bigint[], %(orders)s::bigint[], %(states)s::text[]) AS t (id, order_id, state)
     WHERE e.id = t.id AND e.state = 'waiting'
    RETURNING e.id, e.state
)
INSERT INTO line_turnnotice (entry_id, attempts, next_look_at)
SELECT n.id, 0, %(now)s FROM noted n WHERE n.state = 'given'
RETURNING entry_id
