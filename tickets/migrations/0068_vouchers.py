"""Vouchers: a price, or the right to ticket types, by a text; and the count of their uses with the reservation.

The claim of several types takes a voucher as one argument more. The function that the former release calls stays,
and calls the new one.
"""

from datetime import UTC, datetime

import django.db.models.deletion
import overlord.accounts.models
from django.db import migrations, models

VOUCHER_PRICE = """
CREATE OR REPLACE FUNCTION voucher_price(p_rule text, p_value bigint, p_price bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_rule
        WHEN 'fixed' THEN LEAST(p_price, p_value)
        WHEN 'percent' THEN (p_price * (100 - p_value) + 49) / 100
        WHEN 'less' THEN GREATEST(p_price - p_value, 0)
        ELSE p_price
    END
$$;
"""
VOUCHER_COVERS = """
CREATE OR REPLACE FUNCTION voucher_covers(p_voucher bigint, p_all_types boolean, p_ticket_type bigint, p_hidden boolean)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_all_types THEN
        RETURN NOT p_hidden;
    END IF;
    RETURN EXISTS (SELECT FROM tickets_voucher_ticket_types c
                    WHERE c.voucher_id = p_voucher AND c.tickettype_id = p_ticket_type);
END
$$;
"""
RESERVATION_VOUCHER_COUNT = """
CREATE OR REPLACE FUNCTION reservation_voucher_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.state IN ('held', 'paying', 'validated') THEN
        UPDATE tickets_voucher v SET used = v.used - OLD.quantity WHERE v.id = OLD.voucher_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.state IN ('held', 'paying', 'validated') THEN
        UPDATE tickets_voucher v SET used = v.used + NEW.quantity WHERE v.id = NEW.voucher_id;
        IF NOT FOUND THEN
            RAISE foreign_key_violation USING CONSTRAINT = 'reservation_voucher_exists',
                MESSAGE = 'there is no such voucher';
        END IF;
    END IF;
    RETURN NULL;
END
$$;
"""
RESERVATIONS_CLAIM = """
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval,
    p_voucher text
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz, voucher text, discount_minor bigint
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_expires_at timestamptz;
    v_in_order integer;
    v_begun boolean;
    v_event bigint;
    v_voucher tickets_voucher%ROWTYPE;
    v_covered bigint[] := '{}';
    v_locked bigint[];
    v_refused bigint;
    v_first bigint;
    v_at timestamptz;
BEGIN
    IF p_order IS NOT NULL THEN
        -- Whoever pays for the order, adds to it or extends it locks its lead first.
        PERFORM FROM tickets_reservation l
          WHERE l.id = p_order AND l.buyer_id = p_buyer AND l.lead_id IS NULL FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT min(r.expires_at), count(*), bool_or(r.state <> 'held'), min(t.event_id)
          INTO v_expires_at, v_in_order, v_begun, v_event
          FROM tickets_reservation r JOIN tickets_tickettype t ON t.id = r.ticket_type_id
         WHERE (r.id = p_order OR r.lead_id = p_order) AND r.state IN ('held', 'paying', 'validated');
        IF v_begun OR v_in_order NOT BETWEEN 1 AND 20 - cardinality(p_ticket_types)
           OR v_expires_at <= clock_timestamp() THEN
            RETURN;
        END IF;
    ELSE
        SELECT t.event_id INTO v_event FROM tickets_tickettype t WHERE t.id = p_ticket_types[1];
    END IF;

    IF p_voucher IS NOT NULL THEN
        -- Who uses the voucher, gives a use back or edits it waits here, and then all of it is read again.
        PERFORM FROM tickets_voucher v
          WHERE v.event_id = v_event AND accounts_name_key(v.text) = accounts_name_key(p_voucher) FOR NO KEY UPDATE;
        SELECT v.* INTO v_voucher FROM tickets_voucher v
         WHERE v.event_id = v_event AND accounts_name_key(v.text) = accounts_name_key(p_voucher)
           AND v.ended_at IS NULL
           AND (v.valid_from IS NULL OR v.valid_from <= clock_timestamp())
           AND (v.valid_until IS NULL OR v.valid_until > clock_timestamp());
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT array_agg(t.id) INTO v_covered FROM tickets_tickettype t
         WHERE t.id = ANY (p_ticket_types) AND voucher_covers(v_voucher.id, v_voucher.all_types, t.id, t.hidden);
        IF v_covered IS NULL OR v_voucher.used::bigint + (
            SELECT sum(w.quantity) FROM unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity)
             WHERE w.ticket_type = ANY (v_covered)) > v_voucher.most_uses THEN
            RETURN;
        END IF;
    END IF;

    -- After waiting for a lock, only the locked row is read again. So all of it that can refuse is asked here.
    SELECT array_agg(l.ticket_type_id) INTO v_locked FROM (
        SELECT i.ticket_type_id
          FROM tickets_inventory i
          JOIN unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity) ON w.ticket_type = i.ticket_type_id
         WHERE i.held::bigint + i.sold + w.quantity <= i.capacity
           AND NOT i.paused
           AND NOT i.line_first
           AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp()
                OR (v_voucher.opens_early AND i.ticket_type_id = ANY (v_covered)))
           AND i.closes_at > clock_timestamp()
         ORDER BY i.ticket_type_id
           FOR NO KEY UPDATE OF i
    ) l;

    -- Under the locks and with a new snapshot. A live reservation that another transaction is ending still shows as
    -- live. That transaction waits for our inventory. If the INSERT waited for it in turn, that would be a deadlock.
    SELECT w.ticket_type INTO v_refused
      FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
      LEFT JOIN tickets_tickettype t ON t.id = w.ticket_type
     WHERE COALESCE(w.ticket_type <> ALL (v_locked), true)
        OR t.event_id IS DISTINCT FROM v_event
        OR (p_voucher IS NOT NULL AND t.hidden AND w.ticket_type <> ALL (v_covered))
        OR t.price_minor::numeric * w.quantity > 1000000000000000
        OR (SELECT bool_or(r.state <> 'validated') OR sum(r.quantity) + w.quantity > t.max_per_user
              FROM tickets_reservation r
             WHERE r.buyer_id = p_buyer AND r.ticket_type_id = w.ticket_type
               AND r.state IN ('held', 'paying', 'validated'))
        OR w.quantity > t.max_per_user
     ORDER BY w.nth LIMIT 1;
    IF FOUND THEN
        refused := v_refused;
        RETURN NEXT;
        RETURN;
    END IF;

    v_at := clock_timestamp();
    v_first := nextval('tickets_reservation_id_seq');
    RETURN QUERY
    WITH changed AS (
        UPDATE tickets_inventory i
           SET held = i.held + w.quantity, version = i.version + 1,
               reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + w.quantity
          FROM unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity)
         WHERE i.ticket_type_id = w.ticket_type
        RETURNING i.*
    ), made AS (
        INSERT INTO tickets_reservation AS r
            (id, lead_id, buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at,
             idempotency_key, version, voucher_id, discount_minor)
        SELECT CASE WHEN w.nth = 1 THEN v_first ELSE nextval('tickets_reservation_id_seq') END,
               CASE WHEN w.nth > 1 OR p_order IS NOT NULL THEN COALESCE(p_order, v_first) END,
               p_buyer, w.ticket_type, w.quantity, COALESCE(d.price_minor, t.price_minor), e.currency, 'held', v_at,
               COALESCE(v_expires_at, v_at + p_hold),
               CASE WHEN w.nth = 1 THEN p_key END, 1,
               CASE WHEN d.price_minor IS NOT NULL THEN v_voucher.id END, t.price_minor - d.price_minor
          FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
          JOIN tickets_tickettype t ON t.id = w.ticket_type
          JOIN tickets_event e ON e.id = t.event_id
          CROSS JOIN LATERAL (
               SELECT CASE WHEN w.ticket_type = ANY (v_covered) THEN
                   voucher_price(v_voucher.price_rule, v_voucher.price_value, t.price_minor) END AS price_minor) d
         ORDER BY w.nth
        RETURNING r.*
    )
    SELECT NULL::bigint, m.id, m.lead_id, m.quantity, m.unit_price_minor, m.created, m.expires_at, v_event,
           m.currency::text, c.ticket_type_id, c.capacity, c.held, c.sold, c.opens_at, c.closes_at, c.paused,
           c.line_first, c.version,
           LEAST(m.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                                 WHERE h.ticket_type_id = m.ticket_type_id AND h.state = 'held')),
           CASE WHEN m.voucher_id IS NOT NULL THEN v_voucher.text::text END, m.discount_minor
      FROM made m JOIN changed c ON c.ticket_type_id = m.ticket_type_id
     ORDER BY array_position(p_ticket_types, m.ticket_type_id);
END
$$;
"""
RESERVATIONS_CLAIM_FORMER = """
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.refused, c.reservation_id, c.lead_id, c.quantity, c.unit_price_minor, c.created, c.expires_at, c.event,
           c.currency, c.ticket_type, c.capacity, c.held, c.sold, c.opens_at, c.closes_at, c.paused, c.line_first,
           c.version, c.next_release_at
      FROM reservations_claim(p_buyer, p_ticket_types, p_quantities, p_order, p_key, p_hold, NULL) c;
END
$$;
"""
HOLDS_RELEASE_DUE = """
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (
    buyers bigint[], event bigint, ticket_type bigint,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean, line_first boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();  -- an index finds what lies before an instant, not before a function
    is_first boolean := pg_current_xact_id_if_assigned() IS NULL;
    due bigint[];
    vouchers bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id), array_agg(DISTINCT d.voucher_id) FILTER (WHERE d.voucher_id IS NOT NULL)
      INTO due, vouchers FROM (
        SELECT r.id, r.voucher_id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= at
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    IF vouchers IS NOT NULL AND is_first THEN
        PERFORM FROM tickets_voucher v WHERE v.id = ANY (vouchers) ORDER BY v.id FOR NO KEY UPDATE;
    ELSIF vouchers IS NOT NULL THEN
        SELECT array_agg(l.id) INTO vouchers FROM (
            SELECT v.id FROM tickets_voucher v WHERE v.id = ANY (vouchers) FOR NO KEY UPDATE SKIP LOCKED
        ) l;
        SELECT array_agg(r.id) INTO due FROM tickets_reservation r
         WHERE r.id = ANY (due) AND (r.voucher_id IS NULL OR r.voucher_id = ANY (vouchers));
        IF due IS NULL THEN
            RETURN;
        END IF;
    END IF;

    WITH ended AS (
        UPDATE tickets_reservation r
           SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
         WHERE r.id = ANY (due)
        RETURNING r.buyer_id, r.quantity
    )
    SELECT array_agg(e.buyer_id) AS buyers, sum(e.quantity) AS tickets, count(*) AS reservations
      INTO freed FROM ended e;

    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held - freed.tickets, version = i.version + 1,
           reservations_expired = i.reservations_expired + freed.reservations
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = p_ticket_type
    RETURNING freed.buyers, t.event_id, p_ticket_type, i.capacity, i.held, i.sold, i.opens_at, i.closes_at,
        i.paused, i.line_first, i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held');
END
$$;
"""
RESERVATIONS_CLAIM_BEFORE = """
CREATE OR REPLACE FUNCTION reservations_claim(
    p_buyer bigint, p_ticket_types bigint[], p_quantities integer[], p_order bigint, p_key text, p_hold interval
) RETURNS TABLE (
    refused bigint, reservation_id bigint, lead_id bigint, quantity integer, unit_price_minor bigint,
    created timestamptz, expires_at timestamptz, event bigint, currency text,
    ticket_type bigint, capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz,
    paused boolean, line_first boolean, version bigint, next_release_at timestamptz
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    v_expires_at timestamptz;
    v_in_order integer;
    v_begun boolean;
    v_event bigint;
    v_locked bigint[];
    v_refused bigint;
    v_first bigint;
    v_at timestamptz;
BEGIN
    IF p_order IS NOT NULL THEN
        -- Whoever pays for the order, adds to it or extends it locks its lead first.
        PERFORM FROM tickets_reservation l
          WHERE l.id = p_order AND l.buyer_id = p_buyer AND l.lead_id IS NULL FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT min(r.expires_at), count(*), bool_or(r.state <> 'held'), min(t.event_id)
          INTO v_expires_at, v_in_order, v_begun, v_event
          FROM tickets_reservation r JOIN tickets_tickettype t ON t.id = r.ticket_type_id
         WHERE (r.id = p_order OR r.lead_id = p_order) AND r.state IN ('held', 'paying', 'validated');
        IF v_begun OR v_in_order NOT BETWEEN 1 AND 20 - cardinality(p_ticket_types)
           OR v_expires_at <= clock_timestamp() THEN
            RETURN;
        END IF;
    ELSE
        SELECT t.event_id INTO v_event FROM tickets_tickettype t WHERE t.id = p_ticket_types[1];
    END IF;

    -- After waiting for a lock, only the locked row is read again. So all of it that can refuse is asked here.
    SELECT array_agg(l.ticket_type_id) INTO v_locked FROM (
        SELECT i.ticket_type_id
          FROM tickets_inventory i
          JOIN unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity) ON w.ticket_type = i.ticket_type_id
         WHERE i.held::bigint + i.sold + w.quantity <= i.capacity
           AND NOT i.paused
           AND NOT i.line_first
           AND (i.opens_at IS NULL OR i.opens_at <= clock_timestamp())
           AND i.closes_at > clock_timestamp()
         ORDER BY i.ticket_type_id
           FOR NO KEY UPDATE OF i
    ) l;

    -- Under the locks and with a new snapshot. A live reservation that another transaction is ending still shows as
    -- live. That transaction waits for our inventory. If the INSERT waited for it in turn, that would be a deadlock.
    SELECT w.ticket_type INTO v_refused
      FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
      LEFT JOIN tickets_tickettype t ON t.id = w.ticket_type
     WHERE COALESCE(w.ticket_type <> ALL (v_locked), true)
        OR t.event_id IS DISTINCT FROM v_event
        OR t.price_minor::numeric * w.quantity > 1000000000000000
        OR (SELECT bool_or(r.state <> 'validated') OR sum(r.quantity) + w.quantity > t.max_per_user
              FROM tickets_reservation r
             WHERE r.buyer_id = p_buyer AND r.ticket_type_id = w.ticket_type
               AND r.state IN ('held', 'paying', 'validated'))
        OR w.quantity > t.max_per_user
     ORDER BY w.nth LIMIT 1;
    IF FOUND THEN
        refused := v_refused;
        RETURN NEXT;
        RETURN;
    END IF;

    v_at := clock_timestamp();
    v_first := nextval('tickets_reservation_id_seq');
    RETURN QUERY
    WITH changed AS (
        UPDATE tickets_inventory i
           SET held = i.held + w.quantity, version = i.version + 1,
               reservations = i.reservations + 1, reserved_tickets = i.reserved_tickets + w.quantity
          FROM unnest(p_ticket_types, p_quantities) AS w (ticket_type, quantity)
         WHERE i.ticket_type_id = w.ticket_type
        RETURNING i.*
    ), made AS (
        INSERT INTO tickets_reservation AS r
            (id, lead_id, buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created, expires_at,
             idempotency_key, version)
        SELECT CASE WHEN w.nth = 1 THEN v_first ELSE nextval('tickets_reservation_id_seq') END,
               CASE WHEN w.nth > 1 OR p_order IS NOT NULL THEN COALESCE(p_order, v_first) END,
               p_buyer, w.ticket_type, w.quantity, t.price_minor, e.currency, 'held', v_at,
               COALESCE(v_expires_at, v_at + p_hold),
               CASE WHEN w.nth = 1 THEN p_key END, 1
          FROM unnest(p_ticket_types, p_quantities) WITH ORDINALITY AS w (ticket_type, quantity, nth)
          JOIN tickets_tickettype t ON t.id = w.ticket_type
          JOIN tickets_event e ON e.id = t.event_id
         ORDER BY w.nth
        RETURNING r.*
    )
    SELECT NULL::bigint, m.id, m.lead_id, m.quantity, m.unit_price_minor, m.created, m.expires_at, v_event,
           m.currency::text, c.ticket_type_id, c.capacity, c.held, c.sold, c.opens_at, c.closes_at, c.paused,
           c.line_first, c.version,
           LEAST(m.expires_at, (SELECT min(h.expires_at) FROM tickets_reservation h
                                 WHERE h.ticket_type_id = m.ticket_type_id AND h.state = 'held'))
      FROM made m JOIN changed c ON c.ticket_type_id = m.ticket_type_id
     ORDER BY array_position(p_ticket_types, m.ticket_type_id);
END
$$;
"""
HOLDS_RELEASE_DUE_BEFORE = """
CREATE OR REPLACE FUNCTION holds_release_due(p_ticket_type bigint, p_most integer)
RETURNS TABLE (
    buyers bigint[], event bigint, ticket_type bigint,
    capacity integer, held integer, sold integer, opens_at timestamptz, closes_at timestamptz, paused boolean, line_first boolean,
    version bigint, next_release_at timestamptz
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    at timestamptz := clock_timestamp();  -- an index finds what lies before an instant, not before a function
    due bigint[];
    freed record;
BEGIN
    SELECT array_agg(d.id) INTO due FROM (
        SELECT r.id FROM tickets_reservation r
         WHERE r.ticket_type_id = p_ticket_type AND r.state = 'held' AND r.expires_at <= at
         ORDER BY r.expires_at LIMIT p_most
           FOR NO KEY UPDATE SKIP LOCKED
    ) d;
    IF due IS NULL THEN
        RETURN;
    END IF;

    WITH ended AS (
        UPDATE tickets_reservation r
           SET state = 'expired', ended_at = clock_timestamp(), version = r.version + 1
         WHERE r.id = ANY (due)
        RETURNING r.buyer_id, r.quantity
    )
    SELECT array_agg(e.buyer_id) AS buyers, sum(e.quantity) AS tickets, count(*) AS reservations
      INTO freed FROM ended e;

    RETURN QUERY
    UPDATE tickets_inventory i
       SET held = i.held - freed.tickets, version = i.version + 1,
           reservations_expired = i.reservations_expired + freed.reservations
      FROM tickets_tickettype t
     WHERE i.ticket_type_id = p_ticket_type AND t.id = p_ticket_type
    RETURNING freed.buyers, t.event_id, p_ticket_type, i.capacity, i.held, i.sold, i.opens_at, i.closes_at,
        i.paused, i.line_first, i.version,
        (SELECT min(h.expires_at) FROM tickets_reservation h
          WHERE h.ticket_type_id = p_ticket_type AND h.state = 'held');
END
$$;
"""

TRIGGERS = """
CREATE TRIGGER reservation_voucher_made AFTER INSERT ON tickets_reservation
    FOR EACH ROW WHEN (NEW.voucher_id IS NOT NULL)
    EXECUTE FUNCTION reservation_voucher_count();
CREATE TRIGGER reservation_voucher_changed AFTER UPDATE OF state, quantity, voucher_id ON tickets_reservation
    FOR EACH ROW WHEN (
        (OLD.voucher_id IS NOT NULL OR NEW.voucher_id IS NOT NULL)
        AND (OLD.voucher_id IS DISTINCT FROM NEW.voucher_id OR OLD.quantity <> NEW.quantity
             OR (OLD.state IN ('expired', 'released')) <> (NEW.state IN ('expired', 'released')))
    )
    EXECUTE FUNCTION reservation_voucher_count();
CREATE TRIGGER reservation_voucher_deleted AFTER DELETE ON tickets_reservation
    FOR EACH ROW WHEN (OLD.voucher_id IS NOT NULL)
    EXECUTE FUNCTION reservation_voucher_count();
"""
NO_TRIGGERS = """
DROP TRIGGER reservation_voucher_made ON tickets_reservation;
DROP TRIGGER reservation_voucher_changed ON tickets_reservation;
DROP TRIGGER reservation_voucher_deleted ON tickets_reservation;
DROP FUNCTION reservation_voucher_count();
"""
NO_CLAIM = "DROP FUNCTION reservations_claim(bigint, bigint[], integer[], bigint, text, interval, text)"
NO_PRICE = """
DROP FUNCTION voucher_covers(bigint, boolean, bigint, boolean);
DROP FUNCTION voucher_price(text, bigint, bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0067_calendar_version"), ("accounts", "0003_name_keys")]

    operations = [
        migrations.AddField(
            model_name='reservation',
            name='discount_minor',
            field=models.BigIntegerField(editable=False, null=True, verbose_name='discount of the unit price'),
        ),
        migrations.CreateModel(
            name='Voucher',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.CharField(max_length=40)),
                ('note', models.CharField(blank=True, max_length=200)),
                ('price_rule', models.CharField(choices=[('unchanged', 'unchanged'), ('fixed', 'fixed'), ('percent', 'percent'), ('less', 'less')], max_length=10)),
                ('price_value', models.BigIntegerField(help_text="Percent, or minor units of the event's currency.")),
                ('opens_early', models.BooleanField(help_text='Whether its types can be reserved before their sale opens.')),
                ('all_types', models.BooleanField(help_text='For all ticket types that are not hidden; else the chosen ones.')),
                ('valid_from', models.DateTimeField(null=True)),
                ('valid_until', models.DateTimeField(null=True)),
                ('most_uses', models.IntegerField(help_text='For how many tickets it is good; empty: any number.', null=True)),
                ('used', models.BigIntegerField(default=0, editable=False, help_text='Tickets on hold or sold with it.')),
                ('ended_at', models.DateTimeField(null=True)),
                ('created', models.DateTimeField()),
                ('version', models.BigIntegerField(default=1, editable=False)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='tickets.event')),
                ('ticket_types', models.ManyToManyField(related_name='+', to='tickets.tickettype')),
            ],
        ),
        migrations.AddField(
            model_name='reservation',
            name='voucher',
            field=models.ForeignKey(db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tickets.voucher'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.UniqueConstraint(models.F('event'), overlord.accounts.models.NameKey('text'), name='voucher_unique_in_event'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('text__regex', '[\\u0001-\\u0020\\u007f-\\u00a0\\u2000-\\u200f\\u2028-\\u202f\\u3000]'), _negated=True), models.Q(('text', ''), _negated=True)), name='voucher_text_is_a_word'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('price_rule', 'unchanged'), ('price_value', 0)), models.Q(('price_rule__in', ['fixed', 'less']), ('price_value__gte', 0), ('price_value__lte', 1000000000000)), models.Q(('price_rule', 'percent'), ('price_value__gte', 1), ('price_value__lte', 100)), _connector='OR'), name='voucher_price_known'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('price_rule', 'unchanged'), _negated=True), ('opens_early', True), ('all_types', False), _connector='OR'), name='voucher_gives_something'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('most_uses', None), ('most_uses__gte', 1), _connector='OR'), name='voucher_most_uses_positive'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('used__gte', 0)), name='voucher_used_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(('most_uses', None), ('used__lte', models.F('most_uses')), _connector='OR'), name='voucher_used_within_limit'),
        ),
        migrations.AddConstraint(
            model_name='voucher',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('valid_from', None), models.Q(('valid_from__gte', datetime(1900, 1, 1, 0, 0, tzinfo=UTC)), ('valid_from__lt', datetime(2200, 1, 1, 0, 0, tzinfo=UTC))), _connector='OR'), models.Q(('valid_until', None), models.Q(('valid_until__gte', datetime(1900, 1, 1, 0, 0, tzinfo=UTC)), ('valid_until__lt', datetime(2200, 1, 1, 0, 0, tzinfo=UTC))), _connector='OR'), models.Q(('valid_from', None), ('valid_until', None), ('valid_from__lt', models.F('valid_until')), _connector='OR')), name='voucher_times_bounded'),
        ),
        migrations.RunSQL([VOUCHER_PRICE, VOUCHER_COVERS], NO_PRICE),
        migrations.RunSQL([RESERVATION_VOUCHER_COUNT, TRIGGERS], NO_TRIGGERS),
        migrations.RunSQL([RESERVATIONS_CLAIM, RESERVATIONS_CLAIM_FORMER], [RESERVATIONS_CLAIM_BEFORE, NO_CLAIM]),
        migrations.RunSQL(HOLDS_RELEASE_DUE, HOLDS_RELEASE_DUE_BEFORE),
    ]
