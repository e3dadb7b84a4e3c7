-- Give a buyer a number in an event's line; or if the buyer waits in it already, replace the wish and keep the place.
--
-- A transaction that gives numbers or places locks the line's row first. Before the draw, a new entry gets a number
-- and no place. After the draw, its number is also its place, behind all others. If there is no line, the function
-- returns no row. If the draw of the line is due and must come first, it returns only `due`.
--
-- One person has one place. People with the same e-mail address, that of an account or the verified one of a guest,
-- count as one person. All who are new in a line wait for its lock, so that two of them cannot enter at the same
-- time.
--
-- The entries of a buyer must be found by the index of buyers (`entry_waits_once`). PostgreSQL keeps plans that it
-- made while the line was short, or before it had statistics. Then the index of numbers looks as good, but with it, all
-- entries of a line would be read for each new one. So no condition here compares `line_id` alone.
CREATE OR REPLACE FUNCTION line_enter(p_event bigint, p_buyer bigint, p_choices jsonb)
RETURNS TABLE (entry bigint, is_new boolean, due boolean) LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_own line_entry%ROWTYPE;
    v_same_address bigint[];
BEGIN
    UPDATE line_entry e SET choices = p_choices
     WHERE e.buyer_id = p_buyer AND CASE WHEN e.state = 'waiting' THEN e.line_id END = p_event
    RETURNING e.id INTO entry;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    -- A guest can lose the proof of an address at this moment. That transaction waits for this lock and finds the entry,
    -- or it is waited for here. The lock comes before that of the line, for which all who are new wait.
    PERFORM FROM accounts_user u
      WHERE u.id = p_buyer AND NOT (u.is_guest AND u.verified_email = '') FOR SHARE;
    IF NOT FOUND THEN
        RAISE check_violation USING CONSTRAINT = 'entry_by_a_proven_address',
            MESSAGE = 'the guest has proven no e-mail address';
    END IF;

    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.phase = 'lobby' AND v_line.digest IS NULL AND line_opens_at(p_event) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
    END IF;

    -- Under the lock and with a new snapshot: another request of this buyer may have been quicker, or the giver. Then
    -- the buyer is shown what was given, before the buyer may enter again.
    WITH own AS MATERIALIZED (SELECT * FROM line_entry e WHERE e.buyer_id = p_buyer)
    SELECT * INTO v_own FROM own o WHERE o.line_id = p_event
     ORDER BY o.state = 'waiting' DESC, o.number DESC LIMIT 1;
    IF v_own.state = 'given' AND v_own.looked_at IS NULL THEN
        entry := v_own.id;
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT array_agg(u.id) INTO v_same_address
      FROM accounts_user u
     WHERE accounts_mailbox_key(accounts_name_key(CASE WHEN u.is_guest THEN u.verified_email ELSE u.email END)) = (
           SELECT accounts_mailbox_key(accounts_name_key(CASE WHEN b.is_guest THEN b.verified_email ELSE b.email END))
             FROM accounts_user b WHERE b.id = p_buyer)
       AND u.id <> p_buyer;
    IF EXISTS (
        SELECT FROM line_entry e
         WHERE e.buyer_id = ANY (v_same_address) AND CASE WHEN e.state = 'waiting' THEN e.line_id END = p_event
    ) THEN
        RAISE unique_violation USING CONSTRAINT = 'entry_one_place_per_address',
            MESSAGE = 'somebody with this e-mail address is in the line already';
    END IF;

    -- A buyer who left the lobby and comes again before the draw has the same number.
    UPDATE line_entry e SET choices = p_choices, state = 'waiting'
     WHERE e.id = v_own.id AND e.buyer_id = p_buyer
       AND (e.state = 'waiting' OR (e.state = 'left' AND v_line.phase = 'lobby'))
    RETURNING e.id INTO entry;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    UPDATE line_line l
       SET entered = l.entered + 1, phase = CASE l.phase WHEN 'open' THEN 'serving' ELSE l.phase END
     WHERE l.event_id = p_event RETURNING * INTO v_line;
    INSERT INTO line_entry AS e (line_id, buyer_id, number, place, state, choices, entered_at)
    VALUES (p_event, p_buyer, v_line.entered, CASE WHEN v_line.phase <> 'lobby' THEN v_line.entered END, 'waiting',
            p_choices, clock_timestamp())
    RETURNING e.id, true INTO entry, is_new;
    RETURN NEXT;
END
$$;
