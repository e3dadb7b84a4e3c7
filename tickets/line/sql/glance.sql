-- Whether there may be work in a line: a given hold that nobody looked at in time, or an event that opens by a draw,
-- still sells, and has a line or should have a lobby by now. The statement runs twice a second and mostly finds
-- nothing, which saves all other reads. It may return true when there is no work, but never false when there is some.
SELECT EXISTS (
    SELECT FROM line_entry n WHERE n.state = 'given' AND n.looked_at IS NULL AND n.look_by <= %(now)s
) OR EXISTS (
    SELECT FROM tickets_event e
      JOIN tickets_tickettype t ON t.event_id = e.id AND NOT t.hidden
      JOIN tickets_inventory i ON i.ticket_type_id = t.id AND i.closes_at > %(now)s
     WHERE e.opening = 'draw' AND e.status = 'on_sale'
       AND (i.opens_at <= %(soon)s OR EXISTS (SELECT FROM line_line l WHERE l.event_id = e.id))
) AS may_work
