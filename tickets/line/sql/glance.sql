-- Whether the giver may have work: a hold that was given and not looked at in time, or an event that opens by a draw,
-- still sells, and has a line or should have a lobby by now. It runs twice a second, mostly finds nothing, and then
-- saves the reads that follow. It may say yes when there is no work, but never no when there is.
SELECT EXISTS (
    SELECT FROM line_entry n WHERE n.state = 'given' AND n.looked_at IS NULL AND n.look_by <= %(now)s
) OR EXISTS (
    SELECT FROM tickets_event e
      JOIN tickets_tickettype t ON t.event_id = e.id AND NOT t.hidden
      JOIN tickets_inventory i ON i.ticket_type_id = t.id AND i.closes_at > %(now)s
     WHERE e.opening = 'draw' AND e.status = 'on_sale'
       AND (i.opens_at <= %(soon)s OR EXISTS (SELECT FROM line_line l WHERE l.event_id = e.id))
) AS may_work
