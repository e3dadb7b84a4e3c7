"""Lets PostgreSQL find what a buyer has in a line by the index of buyers, whatever it knows of the table's size.

Since the index of numbers has all entries, it could read all of a line by it for each one who enters. The second
function reads the entry in the statement that makes it.
"""

from django.db import migrations

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

FORMER_LINE_ENTER = r"""
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
"""

LINE_ENTRY_SHOWN = r"""
CREATE OR REPLACE FUNCTION line_entry_shown(p_entry bigint)
RETURNS TABLE (number integer, state text, place integer, entered_at timestamptz, served integer, per_minute integer,
               is_held boolean, is_standing boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_entry line_entry%ROWTYPE;
BEGIN
    SELECT * INTO v_entry FROM line_entry e WHERE e.id = p_entry;
    RETURN QUERY
    SELECT v_entry.number, v_entry.state::text, v_entry.place, v_entry.entered_at,
           l.served, l.per_minute, l.is_held, l.is_standing
      FROM line_line l WHERE l.event_id = v_entry.line_id;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("line", "0017_former_indexes_of_places")]

    operations = [
        migrations.RunSQL(LINE_ENTER, FORMER_LINE_ENTER),
        migrations.RunSQL(LINE_ENTRY_SHOWN, "DROP FUNCTION line_entry_shown(bigint)"),
    ]
