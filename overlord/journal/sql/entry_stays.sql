-- Refuse each change of an entry but two: its facts are erased, or `journal_prune` deletes it. A trigger calls it before
-- an update or a delete.
CREATE OR REPLACE FUNCTION journal_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('journal.prunes', true) = 'yes' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.facts = '{}'::jsonb AND to_jsonb(NEW) - 'facts' = to_jsonb(OLD) - 'facts' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'entry % of the journal stays as it was written', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'journal_entry_stays';
END
$$;
