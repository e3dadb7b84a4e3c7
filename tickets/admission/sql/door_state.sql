-- For each of these events: how many tickets are not revoked; how many were admitted, in total, by gate, and by minute
-- of the last hour; and how many conflicts there are. `list_version` rises when the list of the doors changes.
SELECT e.id AS event,
       (SELECT jsonb_build_object(
                   'tickets', count(*) FILTER (WHERE t.state <> 'revoked'),
                   'admitted', count(*) FILTER (WHERE t.state = 'admitted'),
                   'list_version', COALESCE(max(t.changed), 0) + (
                       SELECT count(*) + count(k.retired_at) FROM admission_key k WHERE k.event_id = e.id))
          FROM admission_ticket t WHERE t.event_id = e.id) AS counts,
       (SELECT COALESCE(jsonb_agg(jsonb_build_object('gate', g.gate, 'admitted', g.n) ORDER BY g.gate), '[]'::jsonb)
          FROM (SELECT t.admitted_gate AS gate, count(*) AS n FROM admission_ticket t
                 WHERE t.event_id = e.id AND t.state = 'admitted' GROUP BY 1) g) AS gates,
       (SELECT COALESCE(jsonb_agg(jsonb_build_object('minute', to_char(m.minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                                                     'gate', m.gate, 'admitted', m.n)
                                  ORDER BY m.minute, m.gate), '[]'::jsonb)
          FROM (SELECT date_trunc('minute', t.admitted_at) AS minute, t.admitted_gate AS gate, count(*) AS n
                  FROM admission_ticket t
                 WHERE t.event_id = e.id AND t.state = 'admitted'
                   AND t.admitted_at >= date_trunc('minute', %(now)s::timestamptz) - interval '59 minutes'
                 GROUP BY 1, 2) m) AS minutes,
       (SELECT count(*) FROM admission_scan s
         WHERE s.event_id = e.id AND s.unchecked AND s.result <> 'admitted') AS conflicts
  FROM tickets_event e
 WHERE e.id = ANY(%(events)s)
