"""Help texts of fields of events, inventories and vouchers. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0079_types_paused_alone'),
    ]

    operations = [
        migrations.AlterField(
            model_name='event',
            name='opening',
            field=models.CharField(choices=[('direct', 'Direct'), ('draw', 'Draw')], db_default='direct', default='direct', help_text='With a draw, people join a line before the sale opens. The draw decides who gets tickets first.', max_length=10),
        ),
        migrations.AlterField(
            model_name='inventory',
            name='closes_at',
            field=models.DateTimeField(help_text='Usually the date of the event.'),
        ),
        migrations.AlterField(
            model_name='inventory',
            name='opens_at',
            field=models.DateTimeField(blank=True, help_text='Null means that the sale opens immediately.', null=True),
        ),
        migrations.AlterField(
            model_name='voucher',
            name='used',
            field=models.BigIntegerField(default=0, editable=False, help_text='Tickets that are reserved or sold with it.'),
        ),
    ]
