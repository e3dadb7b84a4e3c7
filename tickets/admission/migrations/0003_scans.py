import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


ADMISSION_SCAN_RECORD = """
CREATE OR REPLACE FUNCTION admission_scan_record(
    p_scan uuid, p_ticket bigint, p_issue integer, p_refused text, p_event bigint, p_gate text, p_actor bigint,
    p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    t admission_ticket;
    recorded bigint;
    outcome text;
BEGIN
    SELECT id INTO recorded FROM admission_scan WHERE scan_id = p_scan;
    IF recorded IS NULL THEN
        -- Whoever waits here for another gate sees what that gate has done.
        SELECT * INTO t FROM admission_ticket WHERE id = p_ticket FOR NO KEY UPDATE;
        outcome := CASE
            WHEN t.id IS NULL THEN 'unknown'
            WHEN p_refused IS NOT NULL THEN p_refused
            WHEN t.event_id <> p_event THEN 'other_event'
            WHEN t.state = 'revoked' OR t.issue <> p_issue THEN 'revoked'
            WHEN t.state = 'admitted' THEN 'already_admitted'
            ELSE 'admitted'
        END;
        INSERT INTO admission_scan (scan_id, event_id, ticket_id, gate, actor_id, result, at, recorded_at, unchecked,
                                    first_id)
        VALUES (p_scan, COALESCE(p_event, t.event_id), t.id, p_gate, p_actor, outcome, p_at, p_now, p_unchecked,
                (SELECT id FROM admission_scan
                  WHERE ticket_id = t.id AND result = 'admitted' AND undone_at IS NULL))
        ON CONFLICT (scan_id) DO NOTHING
        RETURNING id INTO recorded;
        IF recorded IS NULL THEN  -- the same scan came at the same time
            SELECT id INTO recorded FROM admission_scan WHERE scan_id = p_scan;
        ELSIF outcome = 'admitted' THEN
            UPDATE admission_ticket
               SET state = 'admitted', admitted_at = p_at, admitted_gate = p_gate,
                   changed = pg_current_xact_id()::text::bigint
             WHERE id = t.id;
        END IF;
    END IF;
    IF p_unchecked THEN  -- also when the network went away between the scan and its answer
        UPDATE admission_scan SET unchecked = true WHERE id = recorded AND NOT unchecked;
    END IF;
    RETURN recorded;
END
$$;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('admission', '0002_tickets_of_paid_reservations'),
        ('tickets', '0062_line_page'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Scan',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scan_id', models.UUIDField(help_text='Given by the door, so that a repeat counts once.', unique=True)),
                ('gate', models.CharField(max_length=60)),
                ('result', models.CharField(max_length=16)),
                ('at', models.DateTimeField(help_text='When it was made, as the door says.')),
                ('recorded_at', models.DateTimeField(help_text='When it was recorded.')),
                ('unchecked', models.BooleanField(default=False, help_text='Without a network, the gate let its holder in before this was recorded.')),
                ('undone_at', models.DateTimeField(null=True)),
                ('actor', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('event', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tickets.event')),
                ('first', models.ForeignKey(db_index=False, help_text='The scan that had admitted the ticket before.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='admission.scan')),
                ('ticket', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='admission.ticket')),
                ('undone_by', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('use_door', 'Can scan tickets, search them and see who was admitted'), ('undo_admission', 'Can undo an admission')],
                'indexes': [models.Index(fields=['event', 'recorded_at'], name='scan_by_event')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('result', 'admitted'), ('undone_at', None)), fields=('ticket',), name='scan_one_admission_per_ticket'), models.CheckConstraint(condition=models.Q(('result__in', ['admitted', 'already_admitted', 'revoked', 'other_event', 'unknown'])), name='scan_result_known'), models.CheckConstraint(condition=models.Q(('result', 'unknown'), models.Q(('event__isnull', False), ('ticket__isnull', False)), _connector='OR'), name='scan_of_a_ticket'), models.CheckConstraint(condition=models.Q(models.Q(('undone_at', None), ('undone_by', None)), models.Q(('result', 'admitted'), ('undone_at__isnull', False), ('undone_by__isnull', False)), _connector='OR'), name='scan_undone_was_admitted')],
            },
        ),
        migrations.RunSQL(
            ADMISSION_SCAN_RECORD,
            "DROP FUNCTION admission_scan_record(uuid, bigint, integer, text, bigint, text, bigint, timestamptz,"
            " timestamptz, boolean)",
        ),
    ]
