"""Words of fields. It has no SQL."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0021_users_by_proven_address'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apitoken',
            name='second_factor',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether the person logged in with the second factor.'),
        ),
    ]
