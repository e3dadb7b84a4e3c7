"""Words of fields of lines and of the parts of a draw. It has no SQL."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('line', '0021_entering_by_a_proven_address'),
    ]

    operations = [
        migrations.AlterField(
            model_name='drawnpart',
            name='entries',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), help_text='The ids of the entries.', size=None),
        ),
        migrations.AlterField(
            model_name='line',
            name='moved_at',
            field=models.DateTimeField(editable=False, help_text="Turns have used the line's time up to this instant.", null=True),
        ),
        migrations.AlterField(
            model_name='line',
            name='per_minute',
            field=models.IntegerField(default=0, editable=False, help_text='The pace that people read. 0 while it is not known.'),
        ),
    ]
