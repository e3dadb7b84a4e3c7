-- The facts that decide whether a person may enter the line of an event; no row for a draft. `address` is the e-mail
-- address that a guest has verified, "" if none; null for an account, and for a visitor, whose id is null.
SELECT e.opening = 'draw' AS opens_by_draw, e.buyers,
       e.status = 'on_sale' AND EXISTS (
           SELECT FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
            WHERE t.event_id = e.id AND NOT t.hidden AND i.closes_at > %(now)s) AS sells,
       ARRAY(SELECT t.id FROM tickets_tickettype t WHERE t.event_id = e.id AND NOT t.hidden) AS types,
       (SELECT l.phase FROM line_line l WHERE l.event_id = e.id) AS phase,
       (SELECT u.verified_email FROM accounts_user u WHERE u.id = %(buyer)s AND u.is_guest) AS address
  FROM tickets_event e WHERE e.id = %(event)s AND e.status <> 'draft'
