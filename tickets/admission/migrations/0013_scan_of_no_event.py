"""Records a scan of a gate without a network also if its event does not exist, so that the others of a batch count."""

from django.db import migrations

SCAN_ANSWER = """
CREATE OR REPLACE FUNCTION admission_scan_answer(
    p_scan uuid, p_ticket bigint, p_issue integer, p_key bigint, p_serial text, p_event bigint, p_gate text,
    p_actor bigint, p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS TABLE (
    scan_id uuid, event_id bigint, result text, at timestamptz, gate text, recorded_at timestamptz, actor__username text,
    first__scan_id uuid, first__at timestamptz, first__gate text, first__actor__username text,
    ticket__id bigint, ticket__serial text, ticket__state text, ticket__seat integer, ticket__holder text,
    ticket__handed_to text, ticket__event_id bigint, ticket__issue integer, ticket__order bigint,
    ticket__order_number integer, ticket__seats integer, ticket__ticket_type bigint, ticket__ticket_type_name text,
    ticket__event_name text, ticket__username text, ticket__is_guest boolean, ticket__contact_name text,
    ticket__email text, ticket__contact_email text
) LANGUAGE plpgsql AS $$
DECLARE
    shown bigint := p_ticket;
    refused text;
BEGIN
    IF p_event IS NOT NULL AND NOT EXISTS (SELECT FROM tickets_event e WHERE e.id = p_event) THEN
        IF NOT p_unchecked THEN
            RETURN;
        END IF;
        p_event := NULL;
        refused := 'other_event';
    END IF;
    IF p_serial IS NOT NULL THEN
        SELECT t.id, t.issue INTO shown, p_issue FROM admission_ticket t WHERE t.serial = p_serial;
    END IF;
    IF EXISTS (SELECT FROM admission_key k WHERE k.id = p_key AND k.retired_at <= p_now) THEN
        refused := 'revoked';
    END IF;
    RETURN QUERY
    SELECT * FROM admission_scan_make(p_scan, shown, p_issue, refused, p_event, p_gate, p_actor, p_at, p_now, p_unchecked);
END
$$;
"""

SCAN_ANSWER_BEFORE = """
CREATE OR REPLACE FUNCTION admission_scan_answer(
    p_scan uuid, p_ticket bigint, p_issue integer, p_key bigint, p_serial text, p_event bigint, p_gate text,
    p_actor bigint, p_at timestamptz, p_now timestamptz, p_unchecked boolean
) RETURNS TABLE (
    scan_id uuid, event_id bigint, result text, at timestamptz, gate text, recorded_at timestamptz, actor__username text,
    first__scan_id uuid, first__at timestamptz, first__gate text, first__actor__username text,
    ticket__id bigint, ticket__serial text, ticket__state text, ticket__seat integer, ticket__holder text,
    ticket__handed_to text, ticket__event_id bigint, ticket__issue integer, ticket__order bigint,
    ticket__order_number integer, ticket__seats integer, ticket__ticket_type bigint, ticket__ticket_type_name text,
    ticket__event_name text, ticket__username text, ticket__is_guest boolean, ticket__contact_name text,
    ticket__email text, ticket__contact_email text
) LANGUAGE plpgsql AS $$
DECLARE
    shown bigint := p_ticket;
    refused text;
BEGIN
    IF p_event IS NOT NULL AND NOT EXISTS (SELECT FROM tickets_event e WHERE e.id = p_event) THEN
        RETURN;
    END IF;
    IF p_serial IS NOT NULL THEN
        SELECT t.id, t.issue INTO shown, p_issue FROM admission_ticket t WHERE t.serial = p_serial;
    END IF;
    IF EXISTS (SELECT FROM admission_key k WHERE k.id = p_key AND k.retired_at <= p_now) THEN
        refused := 'revoked';
    END IF;
    RETURN QUERY
    SELECT * FROM admission_scan_make(p_scan, shown, p_issue, refused, p_event, p_gate, p_actor, p_at, p_now, p_unchecked);
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("admission", "0012_plain_words")]

    operations = [migrations.RunSQL(SCAN_ANSWER, SCAN_ANSWER_BEFORE)]
