-- Make the tickets of a reservation that is validated, and revoke those of one that is validated no longer (I9 in
-- docs/reliability.md). A trigger calls it for each such change of the state.
CREATE OR REPLACE FUNCTION admission_reservation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'validated' THEN
        PERFORM admission_tickets_make(NEW.id, NEW.ticket_type_id, NEW.quantity);
    ELSE
        UPDATE admission_ticket
           SET state = 'revoked', revoked_at = clock_timestamp(), changed = pg_current_xact_id()::text::bigint
         WHERE reservation_id = NEW.id AND state <> 'revoked';
    END IF;
    RETURN NULL;
END
$$;
