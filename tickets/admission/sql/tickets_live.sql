-- The state of tickets for open pages: the tickets of these orders, with the number of the link that works, and the
-- tickets with these ids that were handed over. `code_key` changes when another key signs, because then all codes
-- change.
SELECT shown.subject, shown.id AS link_id, shown.number, e.version AS event_version,
       COALESCE((SELECT max(k.id) FROM admission_key k WHERE k.event_id = t.event_id), 0) AS code_key,
       t.id, t.state, t.issue, t.changed AS version
  FROM (SELECT 'o' AS subject, COALESCE(r.lead_id, r.id) AS id, COALESCE(l.number, 1) AS number, t.id AS ticket
          FROM tickets_reservation r
          JOIN admission_ticket t ON t.reservation_id = r.id
          LEFT JOIN admission_orderlink l ON l.reservation_id = COALESCE(r.lead_id, r.id)
         WHERE r.id = ANY(%(orders)s) AND r.lead_id IS NULL OR r.lead_id = ANY(%(orders)s)
        UNION ALL
        SELECT 'k', t.id, t.issue, t.id
          FROM admission_ticket t
         WHERE t.id = ANY(%(tickets)s) AND t.handed_to <> '') AS shown
  JOIN admission_ticket t ON t.id = shown.ticket
  JOIN tickets_event e ON e.id = t.event_id
 ORDER BY t.reservation_id, t.seat
