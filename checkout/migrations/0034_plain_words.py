"""Words of fields of payments, refunds, receipts, sales at the counter, cancellations and charges. It has no SQL."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checkout', '0033_amount_left_out'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='cancelledorder',
            name='refund',
            field=models.OneToOneField(help_text='The refund that the cancellation started. Empty while the order waits for it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='checkout.refund'),
        ),
        migrations.AlterField(
            model_name='cancelledorder',
            name='settled_at',
            field=models.DateTimeField(help_text='When the tickets of an order that cost nothing went back on sale.', null=True),
        ),
        migrations.AlterField(
            model_name='countersale',
            name='key',
            field=models.CharField(help_text='Names the form: each form sells once.', max_length=64, unique=True),
        ),
        migrations.AlterField(
            model_name='eventcancellation',
            name='next_look_at',
            field=models.DateTimeField(help_text='Empty when nothing is left to start.', null=True),
        ),
        migrations.AlterField(
            model_name='payment',
            name='error',
            field=models.TextField(blank=True, help_text='The sentence that tells the buyer why it failed.'),
        ),
        migrations.AlterField(
            model_name='payment',
            name='gateway_nonce',
            field=models.CharField(blank=True, db_default='', default='', help_text="A random text for each try. It is part of the gateway's keys.", max_length=32),
        ),
        migrations.AlterField(
            model_name='payment',
            name='next_look_at',
            field=models.DateTimeField(help_text='When a worker looks at it again.', null=True),
        ),
        migrations.AlterField(
            model_name='payment',
            name='requires_action',
            field=models.JSONField(help_text="The step that the buyer's browser must do next.", null=True),
        ),
        migrations.AlterField(
            model_name='payment',
            name='try_number',
            field=models.IntegerField(default=0, help_text="Rises when the buyer tries again. It is part of the gateway's keys."),
        ),
        migrations.AlterField(
            model_name='receipt',
            name='issue',
            field=models.IntegerField(db_default=1, default=1, help_text="Rises when staff send it again. It is in the mail's Message-ID."),
        ),
        migrations.AlterField(
            model_name='refund',
            name='error',
            field=models.TextField(blank=True, db_default='', default='', help_text="The gateway's reason, if it refused."),
        ),
        migrations.AlterField(
            model_name='refund',
            name='idempotency_key',
            field=models.CharField(help_text='Of the API request.', max_length=64, null=True),
        ),
        migrations.AlterField(
            model_name='refund',
            name='requested_by',
            field=models.ForeignKey(help_text='Empty if the system started it, because the money came late.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='unmatchedcharge',
            name='amount_minor',
            field=models.BigIntegerField(help_text='The part not refunded, in minor units.', verbose_name='amount'),
        ),
    ]
