-- The ticket types of the holds that are due longest, by id. `statement_timestamp()` stays the same during the
-- statement, so that an index finds the due holds. With a running clock, every live hold would be read.
SELECT DISTINCT ticket_type_id
  FROM (SELECT ticket_type_id FROM tickets_reservation
         WHERE state = 'held' AND expires_at <= statement_timestamp()
         ORDER BY expires_at LIMIT %s) due
 ORDER BY ticket_type_id
