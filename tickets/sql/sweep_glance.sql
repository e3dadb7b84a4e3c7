-- Whether a sweep has work. `due`: there are due holds. `crossed`: a sale opened or closed between two instants.
-- `expiring`: the seconds left of a hold fell below a threshold between these instants.
--
-- It runs four times a second and mostly finds nothing, so a new plan each time would cost more than all the rest.
-- Plans are kept. They avoid sequential scans, which would read everything only to find nothing.
CREATE OR REPLACE FUNCTION sweep_glance(p_after timestamptz, p_until timestamptz, p_thresholds integer[])
RETURNS TABLE (due boolean, crossed boolean, expiring boolean)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    due := EXISTS (
        SELECT FROM tickets_reservation r WHERE r.state = 'held' AND r.expires_at <= statement_timestamp()
    );
    crossed := EXISTS (
        SELECT FROM tickets_inventory i WHERE i.opens_at > p_after AND i.opens_at <= p_until
    ) OR EXISTS (
        SELECT FROM tickets_inventory i WHERE i.closes_at > p_after AND i.closes_at <= p_until
    );
    expiring := EXISTS (
        SELECT FROM unnest(p_thresholds) AS t (seconds)
          JOIN tickets_reservation r
            ON r.state = 'held'
           AND r.expires_at > p_after + make_interval(secs => t.seconds)
           AND r.expires_at <= p_until + make_interval(secs => t.seconds)
    );
    RETURN NEXT;
END
$$;
