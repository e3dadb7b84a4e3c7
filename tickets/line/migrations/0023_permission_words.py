"""Give a permission its present name in databases that have it: Django names a permission only when it makes it."""

from django.db import migrations

NAME = """
UPDATE auth_permission p SET name = '{name}'
  FROM django_content_type c
 WHERE c.id = p.content_type_id AND c.app_label = 'line' AND c.model = 'staffaction'
   AND p.codename = 'control_line'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("line", "0022_plain_words"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunSQL(
            NAME.format(
                name="Can pause lines, set their pace, open their sales, and write to those who wait"
            ),
            NAME.format(name="Can hold, pace and open lines, and write to those who wait"),
        )
    ]
