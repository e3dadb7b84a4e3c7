"""Words of a field of tickets. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('admission', '0010_holder_notice_waits_once'),
    ]

    operations = [
        migrations.AlterField(
            model_name='ticket',
            name='handed_to',
            field=models.EmailField(blank=True, db_default='', default='', help_text='The e-mail address of the person to whom it was handed over. Empty: the buyer has it.', max_length=254),
        ),
    ]
