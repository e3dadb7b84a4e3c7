"""Words of fields of events, inventories, reservations and vouchers. It has no SQL."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0075_words'),
    ]

    operations = [
        migrations.AlterField(
            model_name='event',
            name='opening',
            field=models.CharField(choices=[('direct', 'Direct'), ('draw', 'Draw')], db_default='direct', default='direct', help_text='With a draw, people enter a lobby, and places are drawn when the sale opens.', max_length=10),
        ),
        migrations.AlterField(
            model_name='inventory',
            name='opens_at',
            field=models.DateTimeField(blank=True, help_text='Leave it empty to open at once.', null=True),
        ),
        migrations.AlterField(
            model_name='inventory',
            name='revenue_minor',
            field=models.DecimalField(decimal_places=0, default=0, editable=False, help_text='In minor units, less the refunds.', max_digits=24, verbose_name='revenue'),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='key_of_batch',
            field=models.BooleanField(editable=False, help_text='Whether its key is that of a batch. Empty if this is not known, or there is no key.', null=True),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='lead',
            field=models.ForeignKey(db_constraint=False, db_index=False, editable=False, help_text='The first reservation of the order. Empty for the first one itself.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='tickets.reservation'),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='most_uses',
            field=models.IntegerField(help_text='The number of tickets that it can be used for. Null means any number.', null=True),
        ),
    ]
