-- The ticket types of the longest overdue holds. The clock is one that stands still while a statement runs: with
-- another, no index could end the search, and each look would pass by every live hold.
SELECT DISTINCT ticket_type_id
  FROM (SELECT ticket_type_id FROM tickets_reservation
         WHERE state = 'held' AND expires_at <= statement_timestamp()
         ORDER BY expires_at LIMIT %s) due
