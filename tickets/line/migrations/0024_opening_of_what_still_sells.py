"""Let a line open with the first ticket type whose sale has not ended."""

from django.db import migrations

LINE_OPENS_AT = r"""
CREATE OR REPLACE FUNCTION line_opens_at(p_event bigint) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT COALESCE(min(i.opens_at) FILTER (WHERE i.closes_at > clock_timestamp()), min(i.opens_at))
          FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event AND NOT t.hidden);
END
$$;
"""

LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql
SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND line_opens_at(p_event) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.digest IS NULL THEN
        UPDATE line_line l
           SET drawn = l.entered, digest = (
                   SELECT encode(sha256(convert_to(COALESCE(string_agg(
                              e.number || ' '
                              || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                              E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
                     FROM line_entry e WHERE e.line_id = p_event)
         WHERE l.event_id = p_event RETURNING * INTO v_line;
    END IF;
    IF v_line.public_name <> '' AND v_line.public_value IS NULL THEN
        RETURN;
    END IF;
    v_mixed := v_line.seed || ' ' || v_line.digest || ' ' || COALESCE(v_line.public_value || ' ', '');
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY CASE WHEN d.number <= v_line.drawn
                       THEN sha256(convert_to(v_mixed || d.number, 'UTF8')) END NULLS LAST, d.number) AS place
              FROM line_entry d WHERE d.line_id = p_event
             ORDER BY d.id) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l SET phase = 'serving', drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""

LINE_ENTER = r"""
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
"""

FORMER_LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql
SET work_mem = '32MB' AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event AND NOT t.hidden) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v_line.digest IS NULL THEN
        UPDATE line_line l
           SET drawn = l.entered, digest = (
                   SELECT encode(sha256(convert_to(COALESCE(string_agg(
                              e.number || ' '
                              || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                              E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
                     FROM line_entry e WHERE e.line_id = p_event)
         WHERE l.event_id = p_event RETURNING * INTO v_line;
    END IF;
    IF v_line.public_name <> '' AND v_line.public_value IS NULL THEN
        RETURN;
    END IF;
    v_mixed := v_line.seed || ' ' || v_line.digest || ' ' || COALESCE(v_line.public_value || ' ', '');
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY CASE WHEN d.number <= v_line.drawn
                       THEN sha256(convert_to(v_mixed || d.number, 'UTF8')) END NULLS LAST, d.number) AS place
              FROM line_entry d WHERE d.line_id = p_event
             ORDER BY d.id) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l SET phase = 'serving', drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""

FORMER_LINE_ENTER = r"""
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
    IF v_line.phase = 'lobby' AND v_line.digest IS NULL AND (
        SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event AND NOT t.hidden
    ) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
    END IF;

    -- Under the lock and with a new snapshot: another request of theirs may have been quicker, or the giver. Then they
    -- are shown what they were given, before they may enter again.
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

    -- Who left the lobby and comes again before the draw has the same number.
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
"""


class Migration(migrations.Migration):
    dependencies = [("line", "0023_permission_words")]

    operations = [
        migrations.RunSQL(LINE_OPENS_AT, "DROP FUNCTION line_opens_at(bigint)"),
        migrations.RunSQL(LINE_DRAW, FORMER_LINE_DRAW),
        migrations.RunSQL(LINE_ENTER, FORMER_LINE_ENTER),
    ]
