-- All facts that decide whether a voucher may be used, at one instant of the database's clock.
SELECT statement_timestamp() AS now, v.id, v.text, v.price_rule, v.price_value, v.opens_early, v.valid_from,
       v.valid_until, v.ended_at, v.most_uses, v.used,
       ARRAY(SELECT t.id FROM tickets_tickettype t
              WHERE t.event_id = v.event_id AND voucher_covers(v.id, v.all_types, t.id, t.hidden)) AS covers,
       ARRAY(SELECT DISTINCT r.ticket_type_id FROM tickets_reservation r
              WHERE r.voucher_id = v.id AND r.state = 'held' AND r.expires_at <= statement_timestamp()) AS due_holds
  FROM tickets_voucher v
