-- Delete the oldest entries of the journal from before p_before (JOURNAL_RETENTION_DAYS ago), at most p_most of them,
-- and return how many were deleted.
CREATE OR REPLACE FUNCTION journal_prune(p_before timestamptz, p_most integer) RETURNS integer LANGUAGE plpgsql
SET journal.prunes = 'yes' AS $$
DECLARE
    v_deleted integer;
BEGIN
    DELETE FROM journal_journalentry e
     USING (SELECT o.id FROM journal_journalentry o WHERE o.at < p_before ORDER BY o.at, o.id LIMIT p_most) old
     WHERE e.id = old.id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$$;
