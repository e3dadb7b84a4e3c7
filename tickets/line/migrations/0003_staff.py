import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


LINE_ENTER = """
CREATE OR REPLACE FUNCTION line_enter(p_event bigint, p_buyer bigint, p_choices jsonb)
RETURNS TABLE (entry bigint, is_new boolean, due boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
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
         WHERE t.event_id = p_event
    ) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
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

FORMER_LINE_ENTER = """
CREATE OR REPLACE FUNCTION line_enter(p_event bigint, p_buyer bigint, p_choices jsonb)
RETURNS TABLE (entry bigint, is_new boolean, due boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
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
    IF v_line.phase = 'lobby' AND (
        SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
         WHERE t.event_id = p_event
    ) <= clock_timestamp() THEN
        due := true;
        RETURN NEXT;
        RETURN;
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

LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_mixed text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event) <= clock_timestamp()
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
      FROM (SELECT d.id, row_number() OVER (ORDER BY d.number > v_line.drawn,
                       CASE WHEN d.number <= v_line.drawn
                            THEN sha256(convert_to(v_mixed || d.number, 'UTF8')) END, d.number) AS place
              FROM line_entry d WHERE d.line_id = p_event) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l SET phase = 'serving', drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""

FORMER_LINE_DRAW = r"""
CREATE OR REPLACE FUNCTION line_draw(p_event bigint) RETURNS TABLE (drawn integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_line line_line%ROWTYPE;
    v_digest text;
BEGIN
    SELECT * INTO v_line FROM line_line l WHERE l.event_id = p_event AND l.phase = 'lobby'
       AND (SELECT min(i.opens_at) FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id
             WHERE t.event_id = p_event) <= clock_timestamp()
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT encode(sha256(convert_to(COALESCE(string_agg(
               e.number || ' ' || to_char(e.entered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               E'\n' ORDER BY e.number), ''), 'UTF8')), 'hex')
      INTO v_digest FROM line_entry e WHERE e.line_id = p_event;
    UPDATE line_entry e SET place = ranked.place
      FROM (SELECT d.id, row_number() OVER (ORDER BY
                       sha256(convert_to(v_line.seed || ' ' || v_digest || ' ' || d.number, 'UTF8'))) AS place
              FROM line_entry d WHERE d.line_id = p_event) ranked
     WHERE e.id = ranked.id;
    RETURN QUERY
    UPDATE line_line l
       SET phase = 'serving', digest = v_digest, drawn = l.entered, drawn_at = clock_timestamp()
     WHERE l.event_id = p_event RETURNING l.drawn;
END
$$;
"""

TURN_CAME = """
UPDATE line_entry e SET turn_at = l.drawn_at
  FROM line_line l
 WHERE l.event_id = e.line_id AND e.state = 'waiting' AND e.turn_at IS NULL AND e.place <= l.served
"""


class Migration(migrations.Migration):

    dependencies = [
        ('line', '0002_functions'),
        ('tickets', '0062_line_page'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PublicValue',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='tickets.event')),
                ('name', models.CharField(max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name='StaffAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('action', models.CharField(max_length=12)),
                ('text', models.CharField(default='', max_length=300)),
            ],
            options={
                'permissions': [('control_line', 'Can hold, pace and open lines, and write to those who wait')],
            },
        ),
        migrations.RemoveConstraint(
            model_name='line',
            name='line_phase_agrees_with_the_draw',
        ),
        migrations.RemoveIndex(
            model_name='entry',
            name='entry_waiting',
        ),
        migrations.AddField(
            model_name='line',
            name='is_held',
            field=models.BooleanField(default=False, help_text='Staff hold the serving.'),
        ),
        migrations.AddField(
            model_name='line',
            name='is_standing',
            field=models.BooleanField(default=False, editable=False, help_text='Nothing is left for now.'),
        ),
        migrations.AddField(
            model_name='line',
            name='message',
            field=models.CharField(default='', help_text='To all who wait.', max_length=300),
        ),
        migrations.AddField(
            model_name='line',
            name='most_per_minute',
            field=models.IntegerField(help_text='Null: as fast as possible.', null=True),
        ),
        migrations.AddField(
            model_name='line',
            name='moved_at',
            field=models.DateTimeField(editable=False, help_text='When the last places were served.', null=True),
        ),
        migrations.AddField(
            model_name='line',
            name='public_name',
            field=models.CharField(default='', help_text='Of the value that the draw mixes in, if any.', max_length=200),
        ),
        migrations.AddField(
            model_name='line',
            name='public_value',
            field=models.CharField(max_length=200, null=True),
        ),
        migrations.AlterField(
            model_name='entry',
            name='turn_at',
            field=models.DateTimeField(help_text='When the turn came first, also if nothing was there.', null=True),
        ),
        migrations.AddIndex(
            model_name='entry',
            index=models.Index(condition=models.Q(('state', 'waiting'), ('turn_at__isnull', False)), fields=['line', 'place'], name='entry_turn_came'),
        ),
        migrations.AddConstraint(
            model_name='line',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('digest', None), ('drawn', None), ('drawn_at', None), ('phase', 'lobby'), ('served', 0)), models.Q(('digest__isnull', False), ('drawn__isnull', False), ('drawn_at', None), ('phase', 'lobby'), ('served', 0)), models.Q(('digest__isnull', False), ('drawn__isnull', False), ('drawn_at__isnull', False), ('phase__in', ['serving', 'open'])), _connector='OR'), name='line_phase_agrees_with_the_draw'),
        ),
        migrations.AddConstraint(
            model_name='line',
            constraint=models.CheckConstraint(condition=models.Q(('most_per_minute', None), ('most_per_minute__gte', 1), _connector='OR'), name='line_moves_if_it_is_slow'),
        ),
        migrations.AddConstraint(
            model_name='line',
            constraint=models.CheckConstraint(condition=models.Q(('public_value', None), models.Q(models.Q(('public_name', ''), _negated=True), ('digest__isnull', False)), _connector='OR'), name='line_value_was_named_and_is_of_after_the_list'),
        ),
        migrations.AddField(
            model_name='staffaction',
            name='actor',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='staffaction',
            name='event',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tickets.event'),
        ),
        migrations.AddConstraint(
            model_name='staffaction',
            constraint=models.CheckConstraint(condition=models.Q(('action__in', ['hold', 'go_on', 'slower', 'faster', 'open_now', 'message', 'name_value', 'give_value'])), name='staff_action_is_known'),
        ),
        migrations.RunSQL([LINE_ENTER, LINE_DRAW, TURN_CAME], [FORMER_LINE_ENTER, FORMER_LINE_DRAW]),
    ]
