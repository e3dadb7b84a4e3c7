-- Give a buyer a number in an event's line, or replace what they wish and keep their place: all in one statement.
--
-- Whoever gives numbers or places locks the line's row first. Before the draw an entry has a number and no place; after
-- it the number is the place, behind all others; also for who comes after the list was closed. No row: the line is
-- closed, or its draw is due and comes first (`due`).
--
-- One person has one place: whoever waits here with the same e-mail address, an account's own or the one that a guest
-- has verified, is the same person. All who are new in a line wait for its lock, so that no two of them are let in.
CREATE OR REPLACE FUNCTION line_enter(p_event bigint, p_buyer bigint, p_choices jsonb)
RETURNS TABLE (entry bigint, is_new boolean, due boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_person text;
BEGIN
    UPDATE line_entry e SET choices = p_choices
     WHERE e.line_id = p_event AND e.buyer_id = p_buyer AND e.state = 'waiting' RETURNING e.id INTO entry;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.phase = 'lobby' AND v_line.digest IS NULL AND (
        SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event AND NOT t.hidden
    ) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
    END IF;

    -- The giver may have been quicker: they are shown what they were given, before they may enter again.
    SELECT newest.id INTO entry
      FROM (SELECT e.* FROM line_entry e WHERE e.line_id = p_event AND e.buyer_id = p_buyer
             ORDER BY e.number DESC LIMIT 1) newest
     WHERE newest.state = 'given' AND newest.looked_at IS NULL;
    IF FOUND THEN
        is_new := false;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT accounts_mailbox_key(accounts_name_key(CASE WHEN u.is_guest THEN u.verified_email ELSE u.email END))
      INTO v_person FROM accounts_user u WHERE u.id = p_buyer;
    IF EXISTS (
        SELECT FROM accounts_user u JOIN line_entry e ON e.buyer_id = u.id
         WHERE accounts_mailbox_key(accounts_name_key(CASE WHEN u.is_guest THEN u.verified_email ELSE u.email END))
               = v_person
           AND u.id <> p_buyer AND e.line_id = p_event AND e.state = 'waiting'
    ) THEN
        RAISE unique_violation USING CONSTRAINT = 'entry_one_place_per_address',
            MESSAGE = 'somebody with this e-mail address is in the line already';
    END IF;

    -- Under the lock and with a new snapshot: another request of theirs may have been quicker. Who left the lobby and
    -- comes again before the draw has the same number.
    UPDATE line_entry e SET choices = p_choices, state = 'waiting'
     WHERE e.line_id = p_event AND e.buyer_id = p_buyer
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
