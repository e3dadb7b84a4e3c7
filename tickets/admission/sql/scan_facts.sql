-- What must be known before a scan is recorded: whether its event exists, the key of its code, the ticket of its serial.
SELECT %(event)s::bigint IS NULL OR EXISTS (SELECT FROM tickets_event WHERE id = %(event)s) AS event_known,
       k.event_id AS key_event, k.public_key, k.retired_at, t.id AS ticket_of_serial
  FROM (VALUES (1)) AS one
  LEFT JOIN admission_key k ON k.id = %(key)s
  LEFT JOIN admission_ticket t ON t.serial = %(serial)s
