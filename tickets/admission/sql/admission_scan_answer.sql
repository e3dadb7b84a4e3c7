-- Record the scan of a code or a serial, and return its answer as `admission_scan_make` does. For a code, the caller
-- passes the ticket, the issue and the key in it, if that key signed the code. A scan without a serial and a ticket is
-- that of an unknown ticket. A serial belongs to one issue: when a ticket is handed over, it gets another serial. There
-- is only one statement for a scan, because on a busy machine each wait for an answer is long.
--
-- If there is no such event, the function returns no row and records nothing. But if the gate has let the holder in
-- already (`p_unchecked`), the scan is recorded for the event of its ticket, as a ticket of another event.
CREATE OR REPLACE FUNCTION admission_scan_answer(
    p_scan uuid, p_ticket bigint, p_issue integer, p_key bigint, p_serial text, p_event bigint, p_gate text,
    p_actor bigint, p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS TABLE (
    scan_id uuid, event_id bigint, result text, at timestamptz, gate text, recorded_at timestamptz, actor__username text,
    first__scan_id uuid, first__at timestamptz, first__gate text, first__actor__username text,
    ticket__id bigint, ticket__serial text, ticket__state text, ticket__seat integer, ticket__holder text,
    ticket__handed_to text, ticket__event_id bigint, ticket__issue integer, ticket__order bigint,
    ticket__order_number integer, ticket__seats integer, ticket__ticket_type bigint, ticket__ticket_type_name text,
    ticket__event_name text, ticket__username text, ticket__is_guest boolean, ticket__contact_name text,
    ticket__email text, ticket__contact_email text
) LANGUAGE plpgsql AS $$
DECLARE
    shown bigint := p_ticket;
    refused text;
BEGIN
    IF p_event IS NOT NULL AND NOT EXISTS (SELECT FROM tickets_event e WHERE e.id = p_event) THEN
        IF NOT p_unchecked THEN
            RETURN;
        END IF;
        p_event := NULL;
        refused := 'other_event';
    END IF;
    IF p_serial IS NOT NULL THEN
        SELECT t.id, t.issue INTO shown, p_issue FROM admission_ticket t WHERE t.serial = p_serial;
    END IF;
    IF EXISTS (SELECT FROM admission_key k WHERE k.id = p_key AND k.retired_at <= p_now) THEN
        refused := 'revoked';
    END IF;
    RETURN QUERY
    SELECT * FROM admission_scan_make(p_scan, shown, p_issue, refused, p_event, p_gate, p_actor, p_at, p_now, p_unchecked);
END
$$;
