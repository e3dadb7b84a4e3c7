-- The ticket types of the holds that are due longest. `statement_timestamp()` stays the same while a statement runs;
-- with a running clock no index could end the search, and every live hold would be read.
SELECT DISTINCT ticket_type_id
  FROM (SELECT ticket_type_id FROM tickets_reservation
         WHERE state = 'held' AND expires_at <= statement_timestamp()
         ORDER BY expires_at LIMIT %s) due
