-- Hold more or fewer tickets of one inventory for an existing reservation, and return the inventory's new figures.
-- More tickets need what a claim needs: enough are left, and the sale is open, or `early` says that a voucher opens
-- it. No row means that more tickets are refused.
UPDATE tickets_inventory i
   SET held = i.held + %(step)s, reserved_tickets = i.reserved_tickets + %(step)s, version = i.version + 1
  FROM tickets_tickettype t
 WHERE i.ticket_type_id = %(ticket_type)s AND t.id = i.ticket_type_id
   AND (%(step)s < 0
        OR (i.held::bigint + i.sold + %(step)s <= i.capacity
            AND NOT i.paused
            AND NOT i.line_first
            AND (%(early)s OR i.opens_at IS NULL OR i.opens_at <= clock_timestamp())
            AND i.closes_at > clock_timestamp()))
RETURNING t.event_id AS event, i.ticket_type_id AS ticket_type, i.capacity, i.held, i.sold, i.opens_at, i.closes_at,
    i.paused, i.line_first, i.version,
    (SELECT min(h.expires_at) FROM tickets_reservation h
      WHERE h.ticket_type_id = i.ticket_type_id AND h.state = 'held') AS next_release_at
