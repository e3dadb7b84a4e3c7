
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('line', '0003_staff'),
    ]

    operations = [
        migrations.CreateModel(
            name='TurnNotice',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='line.entry')),
                ('attempts', models.IntegerField(default=0)),
                ('next_look_at', models.DateTimeField(null=True)),
                ('sent_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('next_look_at__isnull', False)), fields=['next_look_at'], name='turn_notice_to_send')],
            },
        ),
    ]
