-- The ticket types of the longest overdue holds.
SELECT DISTINCT ticket_type_id
  FROM (SELECT ticket_type_id FROM tickets_reservation
         WHERE state = 'held' AND expires_at <= clock_timestamp()
         ORDER BY expires_at LIMIT %s) due
