-- Refuse a buyer who may hold no more tickets for now, before the claim in the same statement. Return true, or raise
-- an error with the name of a constraint.
--
-- An event may be for accounts only. A buyer may have at most p_most_held unpaid orders at a time. A claim that adds to
-- an order (p_order) makes no new one. If p_expired or more orders of a buyer expired within p_cooling, the buyer
-- cannot reserve for as many seconds as the error says. This check reads only the buyer's newest 100 reservations. If
-- p_most_held or p_expired is null, its check is left out.
--
-- Claims of one buyer that make new orders wait for each other. So claims at the same time cannot hold more than claims
-- one after the other. Their lock is taken before any other.
CREATE OR REPLACE FUNCTION buyer_check(
    p_buyer bigint, p_ticket_type bigint, p_order bigint, p_most_held integer, p_expired integer, p_cooling interval
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_expired timestamptz;
BEGIN
    IF (SELECT u.is_guest FROM accounts_user u WHERE u.id = p_buyer)
       AND EXISTS (SELECT FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
                    WHERE t.id = p_ticket_type AND e.buyers = 'accounts') THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_by_an_account',
            MESSAGE = 'tickets of this event are for accounts only';
    END IF;
    IF p_most_held IS NOT NULL AND p_order IS NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('tickets.buyer', p_buyer));
        IF (SELECT count(DISTINCT COALESCE(r.lead_id, r.id)) FROM tickets_reservation r
             WHERE r.buyer_id = p_buyer AND r.state IN ('held', 'paying')
               AND (r.state = 'paying' OR r.expires_at > clock_timestamp())) >= p_most_held THEN
            RAISE check_violation USING CONSTRAINT = 'reservation_few_held_per_buyer',
                MESSAGE = 'the buyer holds as many orders as one may at a time',
                DETAIL = json_build_object('most', p_most_held);
        END IF;
    END IF;
    IF p_expired IS NOT NULL THEN
        SELECT o.ended_at INTO v_expired FROM (
            SELECT max(r.ended_at) AS ended_at FROM (
                SELECT n.id, n.lead_id, n.state, n.ended_at FROM tickets_reservation n
                 WHERE n.buyer_id = p_buyer ORDER BY n.id DESC LIMIT 100
            ) r
             WHERE r.state = 'expired' AND r.ended_at > clock_timestamp() - p_cooling
             GROUP BY COALESCE(r.lead_id, r.id)
        ) o ORDER BY o.ended_at DESC OFFSET p_expired - 1 LIMIT 1;
        IF FOUND THEN
            RAISE check_violation USING CONSTRAINT = 'reservation_after_cooling_down',
                MESSAGE = 'the buyer let too many holds expire',
                DETAIL = json_build_object('retry_after',
                    ceil(EXTRACT(EPOCH FROM v_expired + p_cooling - clock_timestamp())));
        END IF;
    END IF;
    RETURN true;
END
$$;
