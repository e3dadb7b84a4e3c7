import datetime

import django.db.models.expressions
from django.db import migrations, models

import overlord.accounts.models

# Rows that the constraints below would refuse. A name gets spaces for line breaks; a date is moved to the nearest
# one allowed; a sale that opens after it closes, and so never opened, opens for one microsecond.
MEND = r"""
UPDATE tickets_event
   SET name = COALESCE(NULLIF(btrim(regexp_replace(name, '[\u0001-\u001f\u007f-\u009f\u2028\u2029]+', ' ', 'g')), ''),
                       'Event ' || id),
       date = GREATEST(LEAST(date, '2199-12-31 23:59:59+00'), '1900-01-01 00:00:00+00')
 WHERE name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' OR name = ''
    OR date < '1900-01-01 00:00:00+00' OR date >= '2200-01-01 00:00:00+00';
UPDATE tickets_tickettype
   SET name = COALESCE(NULLIF(btrim(regexp_replace(name, '[\u0001-\u001f\u007f-\u009f\u2028\u2029]+', ' ', 'g')), ''),
                       'Type ' || id)
 WHERE name ~ '[\u0001-\u001f\u007f-\u009f\u2028\u2029]' OR name = '';
UPDATE tickets_tickettype SET price_minor = LEAST(price_minor, 1000000000000) WHERE price_minor > 1000000000000;
UPDATE tickets_inventory
   SET closes_at = GREATEST(LEAST(closes_at, '2199-12-31 23:59:59+00'), '1900-01-01 00:00:00+00')
 WHERE closes_at < '1900-01-01 00:00:00+00' OR closes_at >= '2200-01-01 00:00:00+00';
UPDATE tickets_inventory SET opens_at = NULL WHERE opens_at < '1900-01-01 00:00:00+00';
UPDATE tickets_inventory SET opens_at = closes_at - interval '1 microsecond' WHERE opens_at >= closes_at;
SET CONSTRAINTS ALL IMMEDIATE; -- a row that is updated twice has checks pending, and no table is altered meanwhile
SET CONSTRAINTS ALL DEFERRED;
"""

# Ticket types of one event whose names are equal but for case and the like: later ones get their id as an ending.
TELL_APART = """
UPDATE tickets_tickettype t SET name = left(t.name, 60 - length('-' || t.id)) || '-' || t.id
  FROM (SELECT id, row_number() OVER (PARTITION BY event_id, accounts_name_key(name) ORDER BY id) AS nth
          FROM tickets_tickettype) n
 WHERE n.id = t.id AND n.nth > 1;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    """Bound every number and instant where it is written, so that nothing overflows behind it."""

    dependencies = [
        ("tickets", "0010_reservation_currency"),
        ("accounts", "0003_name_keys"),
    ]

    operations = [
        migrations.RunSQL(MEND, migrations.RunSQL.noop),
        migrations.RemoveConstraint("tickettype", "ticket_type_unique_in_event"),
        migrations.RunSQL(TELL_APART, migrations.RunSQL.noop),
        migrations.AlterModelOptions(
            name='event',
            options={'permissions': [('pause_sale', 'Can pause and resume sales')]},
        ),
        migrations.AlterModelOptions(
            name='reservation',
            options={'permissions': [('return_tickets', 'Can put the tickets of a paid reservation back on sale')]},
        ),
        migrations.RemoveConstraint('tickettype', 'ticket_type_price_not_negative'),
        migrations.AlterField(
            model_name='inventory',
            name='revenue_minor',
            field=models.DecimalField(decimal_places=0, default=0, editable=False, help_text='In minor units, less refunds.', max_digits=24, verbose_name='revenue'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('name__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True), models.Q(('name', ''), _negated=True)), name='event_name_on_one_line', violation_error_message='The name must be one line of text.'),
        ),
        migrations.AddConstraint(
            model_name='event',
            constraint=models.CheckConstraint(condition=models.Q(('date__gte', datetime.datetime(1900, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), ('date__lt', datetime.datetime(2200, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))), name='event_date_bounded', violation_error_message='The date must be from 1900 to 2199.'),
        ),
        migrations.AddConstraint(
            model_name='inventory',
            constraint=models.CheckConstraint(condition=models.Q(('opens_at', None), ('opens_at__lt', models.F('closes_at')), _connector='OR'), name='inventory_opens_before_it_closes'),
        ),
        migrations.AddConstraint(
            model_name='inventory',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('opens_at', None), ('opens_at__gte', datetime.datetime(1900, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), _connector='OR'), ('closes_at__gte', datetime.datetime(1900, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)), ('closes_at__lt', datetime.datetime(2200, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))), name='inventory_times_bounded'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('unit_price_minor__lte', django.db.models.expressions.CombinedExpression(models.Value(1000000000000000), '/', models.F('quantity')))), name='reservation_total_bounded'),
        ),
        migrations.AddConstraint(
            model_name='tickettype',
            constraint=models.UniqueConstraint(models.F('event'), overlord.accounts.models.NameKey('name'), name='ticket_type_unique_in_event'),
        ),
        migrations.AddConstraint(
            model_name='tickettype',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('name__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True), models.Q(('name', ''), _negated=True)), name='ticket_type_name_on_one_line', violation_error_message='The name must be one line of text.'),
        ),
        migrations.AddConstraint(
            model_name='tickettype',
            constraint=models.CheckConstraint(condition=models.Q(('price_minor__gte', 0), ('price_minor__lte', 1000000000000)), name='ticket_type_price_bounded', violation_error_message='The price is negative or too high.'),
        ),
        migrations.AlterConstraint(
            model_name='tickettype',
            name='ticket_type_max_per_user_positive',
            constraint=models.CheckConstraint(condition=models.Q(('max_per_user__gte', 1)), name='ticket_type_max_per_user_positive', violation_error_message='The limit per person must be 1 or more.'),
        ),
    ]
