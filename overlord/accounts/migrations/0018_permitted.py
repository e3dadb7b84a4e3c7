"""Answers whether staff have a permission by a function, whose plan PostgreSQL keeps."""

from django.db import migrations

PERMITTED = """
CREATE OR REPLACE FUNCTION accounts_permitted(p_users bigint[], p_app text, p_codename text) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT u.id
      FROM accounts_user u
     WHERE u.id = ANY (p_users) AND u.is_active AND u.is_staff
       AND (u.is_superuser OR EXISTS (
               SELECT
                 FROM auth_permission p
                 JOIN django_content_type c ON c.id = p.content_type_id
                WHERE c.app_label = p_app AND p.codename = p_codename
                  AND (EXISTS (SELECT FROM accounts_user_user_permissions o
                                WHERE o.user_id = u.id AND o.permission_id = p.id)
                    OR EXISTS (SELECT FROM accounts_user_groups m
                                 JOIN auth_group_permissions g ON g.group_id = m.group_id
                                WHERE m.user_id = u.id AND g.permission_id = p.id))));
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0017_email_code"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.RunSQL(PERMITTED, "DROP FUNCTION accounts_permitted(bigint[], text, text)"),
    ]
