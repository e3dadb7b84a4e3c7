-- Compare the figures of two groups of events with their ranks: the next events by id, and the events with the latest
-- reservations and sales. Write the ranks that have changed, and delete those of drafts. Returns the last id of the
-- first group, and how many events it has.
--
-- Because of OFFSET 0 the planner looks up each row by its key. Without it, the planner would read the whole table of
-- events in order to compare five hundred of them.
WITH slice AS MATERIALIZED (
    SELECT id FROM tickets_event WHERE id > %(after)s ORDER BY id LIMIT %(most)s
), compared AS MATERIALIZED (
    SELECT id FROM slice
    UNION
    SELECT t.event_id
      FROM ((SELECT ticket_type_id FROM tickets_reservation ORDER BY id DESC LIMIT %(latest)s)
            UNION
            (SELECT ticket_type_id FROM tickets_reservation
              WHERE validated_at IS NOT NULL ORDER BY validated_at DESC LIMIT %(latest)s)) r
      JOIN tickets_tickettype t ON t.id = r.ticket_type_id
), figures AS MATERIALIZED (
    SELECT e.id, e.date, e.status, f.reservations, f.sold,
           f.revenue_minor * COALESCE((%(weights)s::jsonb ->> e.currency)::numeric, 1) AS profit
      FROM compared c
      CROSS JOIN LATERAL (SELECT id, date, currency, status FROM tickets_event WHERE id = c.id OFFSET 0) e
      CROSS JOIN LATERAL (
           SELECT COALESCE(sum(i.reservations), 0) AS reservations, COALESCE(sum(i.sold), 0) AS sold,
                  COALESCE(sum(i.revenue_minor), 0) AS revenue_minor
             FROM tickets_tickettype t JOIN tickets_inventory i ON i.ticket_type_id = t.id
            WHERE t.event_id = e.id) f
), drafts_left_out AS (
    DELETE FROM stats_eventrank WHERE event_id = ANY (ARRAY(SELECT id FROM figures WHERE status = 'draft'))
), written AS (
    INSERT INTO stats_eventrank AS r (event_id, date, reservations, sold, profit)
    SELECT f.id, f.date, f.reservations, f.sold, f.profit
      FROM figures f
      LEFT JOIN LATERAL (SELECT * FROM stats_eventrank WHERE event_id = f.id OFFSET 0) k ON true
     WHERE f.status <> 'draft'
       AND (k.date, k.reservations, k.sold, k.profit) IS DISTINCT FROM (f.date, f.reservations, f.sold, f.profit)
    ON CONFLICT (event_id) DO UPDATE
       SET date = excluded.date, reservations = excluded.reservations, sold = excluded.sold, profit = excluded.profit
)
SELECT max(id) AS last, count(*) AS number FROM slice
