from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0002_functions'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='inventory',
            name='payments_failed',
            field=models.BigIntegerField(default=0, editable=False, verbose_name='tries to pay that failed'),
        ),
        migrations.AddField(
            model_name='inventory',
            name='reservations_expired',
            field=models.BigIntegerField(default=0, editable=False, verbose_name='reservations run out'),
        ),
        migrations.AddField(
            model_name='inventory',
            name='reservations_paid',
            field=models.BigIntegerField(default=0, editable=False, verbose_name='reservations ever paid'),
        ),
        migrations.AddField(
            model_name='reservation',
            name='paying_since',
            field=models.DateTimeField(help_text='When the buyer last pressed pay.', null=True),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('state', 'paying')), fields=['paying_since'], name='reservation_paying'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at'], name='reservation_by_end'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(condition=models.Q(('validated_at__isnull', False)), fields=['validated_at'], name='reservation_by_validation'),
        ),
        migrations.RunSQL(
            "UPDATE tickets_inventory i SET reservations_paid = r.paid, reservations_expired = r.expired"
            "  FROM (SELECT ticket_type_id, count(*) FILTER (WHERE state = 'validated') AS paid,"
            "               count(*) FILTER (WHERE state = 'expired') AS expired"
            "          FROM tickets_reservation GROUP BY 1) r"
            " WHERE r.ticket_type_id = i.ticket_type_id",
            migrations.RunSQL.noop,
        ),
    ]
