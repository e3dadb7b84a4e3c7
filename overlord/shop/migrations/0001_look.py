"""Makes the row of the shop's look. It takes over the seller that earlier releases read from the environment."""

import os
from typing import Any

from django.db import migrations, models


def take_over_the_seller(apps: Any, _schema_editor: Any) -> None:
    """Copy SELLER_NAME and SELLER_ADDRESS, whose lines are separated by |, if they say more than the default did."""
    name = os.environ.get("SELLER_NAME", "").strip()
    lines = [line.strip() for line in os.environ.get("SELLER_ADDRESS", "").split("|")]
    address = "\n".join(line for line in lines if line)
    if name == "Ticket Overlord":
        name = ""
    if name or address:
        apps.get_model("shop", "Look").objects.create(seller_name=name[:200], seller_address=address)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Look',
            fields=[
                ('id', models.SmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('version', models.BigIntegerField(db_default=1, default=1, editable=False)),
                ('name', models.CharField(blank=True, db_default='', default='', max_length=60)),
                ('logo', models.CharField(blank=True, db_default='', default='', editable=False, max_length=64)),
                ('accent', models.CharField(db_default='#0d6b4c', default='#0d6b4c', max_length=7)),
                ('accent_dark', models.CharField(db_default='#58c99b', default='#58c99b', max_length=7)),
                ('seller_name', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('seller_address', models.TextField(blank=True, db_default='', default='')),
                ('sender_name', models.CharField(blank=True, db_default='', default='', max_length=60)),
                ('reply_to', models.CharField(blank=True, db_default='', default='', max_length=254)),
                ('imprint', models.TextField(blank=True, db_default='', default='')),
                ('terms', models.TextField(blank=True, db_default='', default='')),
            ],
            options={
                'permissions': [('manage_look', "Can set the shop's name, look, sender, imprint and terms")],
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='look_is_one'), models.CheckConstraint(condition=models.Q(('logo__regex', '^([0-9a-f]{32}-\\d{1,4}x\\d{1,4})?$')), name='look_logo_named'), models.CheckConstraint(condition=models.Q(('accent__regex', '^#[0-9a-f]{6}$'), ('accent_dark__regex', '^#[0-9a-f]{6}$')), name='look_colours_known'), models.CheckConstraint(condition=models.Q(models.Q(('name__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True), models.Q(('seller_name__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True), models.Q(('sender_name__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True), models.Q(('reply_to__regex', '[\\u0001-\\u001f\\u007f-\\u009f\\u2028\\u2029]'), _negated=True)), name='look_names_on_lines')],
            },
        ),
        migrations.RunPython(take_over_the_seller, migrations.RunPython.noop),
    ]
