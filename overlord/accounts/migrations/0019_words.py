"""Words of a permission and of a field of the second factor. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0018_permitted'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='user',
            options={'permissions': [('manage_staff', 'Can invite staff, change their roles and end their access'), ('handle_personal_data', 'Can export and erase the data of a person')]},
        ),
        migrations.AlterField(
            model_name='secondfactor',
            name='last_step',
            field=models.BigIntegerField(help_text='Half minute of the last code; the same or an earlier one is not taken.'),
        ),
    ]
