"""Words of fields of keys, tickets, scans and mails about tickets. It has no SQL."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('admission', '0011_words'),
    ]

    operations = [
        migrations.AlterField(
            model_name='handovernotice',
            name='kind',
            field=models.CharField(choices=[('received', 'To the new holder'), ('given', 'To the person who handed it over'), ('withdrawn', 'To an earlier holder, who did not hand it over')], max_length=9),
        ),
        migrations.AlterField(
            model_name='holdernotice',
            name='message',
            field=models.TextField(blank=True, help_text='The text that staff wrote when they cancelled the event.'),
        ),
        migrations.AlterField(
            model_name='key',
            name='retired_at',
            field=models.DateTimeField(help_text='From then on, codes that it signed open nothing.', null=True),
        ),
        migrations.AlterField(
            model_name='scan',
            name='at',
            field=models.DateTimeField(help_text='When it was made, by the clock of the door.'),
        ),
        migrations.AlterField(
            model_name='scan',
            name='first',
            field=models.ForeignKey(db_index=False, help_text='The scan that admitted the ticket before this one.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='admission.scan'),
        ),
        migrations.AlterField(
            model_name='scan',
            name='scan_id',
            field=models.UUIDField(help_text='The door chooses it, so that a repeat counts once.', unique=True),
        ),
        migrations.AlterField(
            model_name='scan',
            name='unchecked',
            field=models.BooleanField(default=False, help_text='Whether the gate let the holder in without a network, before this was recorded.'),
        ),
        migrations.AlterField(
            model_name='ticket',
            name='holder',
            field=models.CharField(blank=True, help_text='The name of the person who comes with it.', max_length=100),
        ),
        migrations.AlterField(
            model_name='ticket',
            name='issue',
            field=models.SmallIntegerField(default=1, help_text="The number of the ticket's present code."),
        ),
        migrations.AlterField(
            model_name='ticket',
            name='seat',
            field=models.IntegerField(help_text='The number of the ticket in its reservation, from 1.'),
        ),
    ]
