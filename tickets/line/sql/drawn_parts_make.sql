-- Write the order of the places of a drawn line in parts of `size` entries, unless it is written already. The caller
-- has locked the line. The draw itself writes no index of places, because that would double its time.
INSERT INTO line_drawnpart (line_id, last_place, entries)
SELECT e.line_id, max(e.place), array_agg(e.id ORDER BY e.place)
  FROM line_line l
  JOIN line_entry e ON e.line_id = l.event_id AND e.number <= l.drawn
 WHERE l.event_id = %(event)s AND l.phase <> 'lobby'
   AND NOT EXISTS (SELECT FROM line_drawnpart p WHERE p.line_id = %(event)s)
 GROUP BY e.line_id, (e.place - 1) / %(size)s
RETURNING last_place
