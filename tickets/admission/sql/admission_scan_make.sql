-- Record a scan as `admission_scan_record` does, and return the answer for the gate: the result, the ticket (null if
-- it is unknown), and the scan that admitted the ticket before. The query joins ten rows, and its plan takes longer to
-- make than to carry out. A function keeps the plan.
CREATE OR REPLACE FUNCTION admission_scan_make(
    p_scan uuid, p_ticket bigint, p_issue integer, p_refused text, p_event bigint, p_gate text, p_actor bigint,
    p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS TABLE (
    scan_id uuid, event_id bigint, result text, at timestamptz, gate text, recorded_at timestamptz, actor__username text,
    first__scan_id uuid, first__at timestamptz, first__gate text, first__actor__username text,
    ticket__id bigint, ticket__serial text, ticket__state text, ticket__seat integer, ticket__holder text,
    ticket__handed_to text, ticket__event_id bigint, ticket__issue integer, ticket__order bigint,
    ticket__order_number integer, ticket__seats integer, ticket__ticket_type bigint, ticket__ticket_type_name text,
    ticket__event_name text, ticket__username text, ticket__is_guest boolean, ticket__contact_name text,
    ticket__email text, ticket__contact_email text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    recorded bigint := admission_scan_record(p_scan, p_ticket, p_issue, p_refused, p_event, p_gate, p_actor, p_at, p_now,
                                             p_unchecked);
BEGIN
    RETURN QUERY
    SELECT s.scan_id, s.event_id, s.result::text, s.at, s.gate::text, s.recorded_at, a.username::text,
           f.scan_id, f.at, f.gate::text, fa.username::text,
           t.id, t.serial::text, t.state::text, t.seat, t.holder::text,
           t.handed_to::text, t.event_id, t.issue::integer, COALESCE(r.lead_id, r.id),
           COALESCE(l.number, 1)::integer, r.quantity, r.ticket_type_id, tt.name::text,
           e.name::text, b.username::text, b.is_guest, b.contact_name::text,
           b.email::text, b.contact_email::text
      FROM admission_scan s
      JOIN accounts_user a ON a.id = s.actor_id
      LEFT JOIN admission_scan f ON f.id = s.first_id
      LEFT JOIN accounts_user fa ON fa.id = f.actor_id
      LEFT JOIN admission_ticket t ON t.id = s.ticket_id
      LEFT JOIN tickets_reservation r ON r.id = t.reservation_id
      LEFT JOIN admission_orderlink l ON l.reservation_id = COALESCE(r.lead_id, r.id)
      LEFT JOIN tickets_tickettype tt ON tt.id = r.ticket_type_id
      LEFT JOIN tickets_event e ON e.id = t.event_id
      LEFT JOIN accounts_user b ON b.id = r.buyer_id
     WHERE s.id = recorded;
END
$$;
