"""Give a permission its present name in databases that have it: Django names a permission only when it makes it."""

from django.db import migrations

NAME = """
UPDATE auth_permission p SET name = '{name}'
  FROM django_content_type c
 WHERE c.id = p.content_type_id AND c.app_label = 'accounts' AND c.model = 'user'
   AND p.codename = 'handle_personal_data'
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0022_plainer_words"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunSQL(
            NAME.format(name="Can export and erase the data of a person"),
            NAME.format(name="Can hand out and erase the data of a person"),
        )
    ]
