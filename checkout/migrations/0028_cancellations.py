"""Keeps that an event was cancelled, with the orders to pay back, and why a gateway refused a refund."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checkout', '0027_counter_sales'),
        ('tickets', '0065_hidden_types'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='refund',
            name='error',
            field=models.TextField(blank=True, db_default='', default='', help_text='Why the gateway refused it, as it says.'),
        ),
        migrations.CreateModel(
            name='EventCancellation',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='tickets.event')),
                ('message', models.TextField(blank=True)),
                ('created', models.DateTimeField()),
                ('next_look_at', models.DateTimeField(help_text='Empty: there is nothing left to start.', null=True)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'permissions': [('cancel_event', 'Can cancel an event and refund all its orders')],
            },
        ),
        migrations.CreateModel(
            name='CancelledOrder',
            fields=[
                ('payment', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='cancelled', serialize=False, to='checkout.payment')),
                ('settled_at', models.DateTimeField(help_text='When the seats of one that cost nothing went back.', null=True)),
                ('attempts', models.IntegerField(default=0)),
                ('next_look_at', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
                ('refund', models.OneToOneField(help_text='The refund that the cancellation started. Empty: it waits for one.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='checkout.refund')),
                ('cancellation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='checkout.eventcancellation')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('next_look_at__isnull', False)), fields=['next_look_at'], name='cancelled_order_to_tell')],
            },
        ),
    ]
