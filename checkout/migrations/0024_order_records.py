"""Keeps what staff did to an order, and lets a receipt be sent again."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checkout', '0023_revoke_refunded_tickets'),
        ('tickets', '0063_event_status'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='receipt',
            name='issue',
            field=models.IntegerField(db_default=1, default=1, help_text="Rises when staff send it again. Part of the mail's Message-ID."),
        ),
        migrations.CreateModel(
            name='OrderRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(choices=[('note', 'note'), ('mail sent again', 'mail sent again'), ('address changed', 'address changed'), ('hold released', 'hold released')], max_length=20)),
                ('text', models.TextField(blank=True)),
                ('at', models.DateTimeField()),
                ('actor', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('order', models.ForeignKey(help_text="The order's lead.", on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tickets.reservation')),
            ],
            options={
                'permissions': [('manage_orders', 'Can see orders, resend mails, change addresses, release holds')],
                'constraints': [models.CheckConstraint(condition=models.Q(('what__in', ['note', 'mail sent again', 'address changed', 'hold released'])), name='order_record_deed_known')],
            },
        ),
    ]
