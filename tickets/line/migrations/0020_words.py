"""Words of a permission and of fields of lines and entries. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('line', '0019_types'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='staffaction',
            options={'permissions': [('control_line', 'Can pause lines, set their pace, open their sales, and write to those who wait')]},
        ),
        migrations.AlterField(
            model_name='entry',
            name='choices',
            field=models.JSONField(help_text='The wish, and the second choice if there is one: lists of [type, quantity].'),
        ),
        migrations.AlterField(
            model_name='entry',
            name='look_by',
            field=models.DateTimeField(help_text='When a given hold goes to the next entry, unless its owner looks first.', null=True),
        ),
        migrations.AlterField(
            model_name='entry',
            name='turn_at',
            field=models.DateTimeField(help_text='When the turn first came, even if there were no tickets to give.', null=True),
        ),
        migrations.AlterField(
            model_name='line',
            name='digest',
            field=models.CharField(editable=False, help_text='The SHA-256 of the closed list.', max_length=64, null=True),
        ),
        migrations.AlterField(
            model_name='line',
            name='is_held',
            field=models.BooleanField(default=False, help_text='Staff have paused the line.'),
        ),
        migrations.AlterField(
            model_name='line',
            name='moved_at',
            field=models.DateTimeField(editable=False, help_text="Turns have used the line's time up to then.", null=True),
        ),
        migrations.AlterField(
            model_name='line',
            name='public_name',
            field=models.CharField(default='', help_text='The name of the value that the draw mixes in, if there is one.', max_length=200),
        ),
    ]
