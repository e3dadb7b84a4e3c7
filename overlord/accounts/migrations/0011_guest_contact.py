"""Keeps where a guest's tickets go, and compares people by their e-mail addresses."""

from django.db import migrations, models

PERSON_KEY = r"""
CREATE OR REPLACE FUNCTION accounts_person_key(p_email text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE
    WHEN parts.domain IN ('gmail.com', 'googlemail.com') THEN replace(parts.mailbox, '.', '') || '@gmail.com'
    ELSE NULLIF(parts.mailbox || '@' || parts.domain, '@')
END
FROM (
    SELECT substring(accounts_name_key(p_email) FROM '[^@]*$') AS domain,
           regexp_replace(regexp_replace(accounts_name_key(p_email), '@[^@]*$', ''), '(.)\+.*$', '\1') AS mailbox
) parts
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_permissions_notify")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="contact_email",
            field=models.EmailField(
                blank=True, db_default="", default="", max_length=254, verbose_name="e-mail address of a guest"
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="contact_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=150, verbose_name="name"),
        ),
        migrations.RunSQL(PERSON_KEY, "DROP FUNCTION accounts_person_key(text)"),
    ]
