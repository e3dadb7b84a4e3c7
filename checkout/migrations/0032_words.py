"""Words of an incident and of a field of cancelled orders. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checkout', '0031_paid_elsewhere'),
    ]

    operations = [
        migrations.AlterField(
            model_name='cancelledorder',
            name='settled_at',
            field=models.DateTimeField(help_text='When the seats of an order that cost nothing went back on sale.', null=True),
        ),
        migrations.AlterField(
            model_name='incident',
            name='cause',
            field=models.CharField(choices=[('gateway_silent', 'The gateway does not answer; the payment was abandoned'), ('late_money', 'The money came late and is being refunded'), ('refund_failed', 'The gateway refused a refund'), ('wrong_amount', 'The gateway charged another amount than was asked'), ('stuck', 'A payment or a refund still has no outcome, or a mail could not be sent')], max_length=20),
        ),
    ]
