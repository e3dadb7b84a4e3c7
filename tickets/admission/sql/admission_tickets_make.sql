-- Make the tickets of a validated reservation, one for each seat, unless they exist already.
CREATE OR REPLACE FUNCTION admission_tickets_make(p_reservation bigint, p_ticket_type bigint, p_quantity integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO admission_ticket
        (reservation_id, event_id, seat, serial, issue, holder, state, admitted_gate, changed)
    SELECT p_reservation, t.event_id, seat, admission_serial(), 1, '', 'valid', '',
           pg_current_xact_id()::text::bigint
      FROM generate_series(1, p_quantity) seat, tickets_tickettype t
     WHERE t.id = p_ticket_type
    ON CONFLICT (reservation_id, seat) DO NOTHING;
END
$$;
