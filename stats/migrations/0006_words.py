"""Words of fields of readings and of the ranks of events. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('stats', '0005_event_ranks'),
    ]

    operations = [
        migrations.AlterField(
            model_name='eventrank',
            name='date',
            field=models.DateTimeField(help_text='The date of the event. Events with equal figures are ranked by it.'),
        ),
        migrations.AlterField(
            model_name='eventrank',
            name='profit',
            field=models.DecimalField(decimal_places=0, help_text='Revenue times a factor of its currency, so that the numbers can be compared.', max_digits=40),
        ),
        migrations.AlterField(
            model_name='reading',
            name='ranked_to',
            field=models.BigIntegerField(db_default=0, default=0, help_text='The id of the last event whose rank was compared.'),
        ),
        migrations.AlterField(
            model_name='reading',
            name='system',
            field=models.JSONField(default=dict, help_text='Viewers and queues, as `system.state` returns them.'),
        ),
    ]
