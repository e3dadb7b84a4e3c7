"""Words of fields of inventories, reservations, ticket types and vouchers. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0074_move_notice_waits_once'),
    ]

    operations = [
        migrations.AlterField(
            model_name='inventory',
            name='closes_at',
            field=models.DateTimeField(help_text='Leave it empty to close the sale when the event begins.'),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='currency',
            field=models.CharField(help_text='The currency of the unit price.', max_length=3),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='person_key',
            field=models.TextField(editable=False, help_text='The person who pays or has paid, by e-mail address. The limit per person counts by it.', null=True),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='quantity_claimed',
            field=models.IntegerField(editable=False, help_text='The quantity that was claimed, if it has changed since.', null=True),
        ),
        migrations.AlterField(
            model_name='reservation',
            name='unit_price_minor',
            field=models.BigIntegerField(help_text='The price of one ticket when they were reserved, in minor units.', verbose_name='unit price'),
        ),
        migrations.AlterField(
            model_name='tickettype',
            name='hidden',
            field=models.BooleanField(db_default=False, default=False, help_text='Not shown to buyers. They can reserve it only with a code for it. Staff can sell it.'),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='all_types',
            field=models.BooleanField(help_text='Whether it is for all ticket types that are not hidden. Otherwise it is for the chosen ones.'),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='most_uses',
            field=models.IntegerField(help_text='The number of tickets that it can be used for. Null: any number.', null=True),
        ),
    ]
