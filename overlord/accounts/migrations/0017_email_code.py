"""Lets a guest prove an e-mail address by a code, one address be that of one guest, and a person be found by it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Case, Q, When

import overlord.accounts.models

ONE_GUEST = """
CREATE UNIQUE INDEX CONCURRENTLY user_unique_verified_email ON accounts_user (accounts_name_key(verified_email))
 WHERE is_guest AND NOT (verified_email = '')
"""
PERSON = """
CREATE INDEX CONCURRENTLY user_person ON accounts_user
 (accounts_mailbox_key(accounts_name_key(CASE WHEN is_guest THEN verified_email ELSE email END)))
"""
MAILBOX_KEY = r"""
CREATE OR REPLACE FUNCTION accounts_mailbox_key(p_key text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE
    WHEN parts.domain IN ('gmail.com', 'googlemail.com') THEN replace(parts.mailbox, '.', '') || '@gmail.com'
    ELSE NULLIF(parts.mailbox || '@' || parts.domain, '@')
END
FROM (
    SELECT substring(p_key FROM '[^@]*$') AS domain,
           regexp_replace(regexp_replace(p_key, '@[^@]*$', ''), '(.)\+.*$', '\1') AS mailbox
) parts
$$;
"""
PERSON_KEY = r"""
CREATE OR REPLACE FUNCTION accounts_person_key(p_email text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT accounts_mailbox_key(accounts_name_key(p_email))
$$;
"""
FORMER_PERSON_KEY = r"""
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
    atomic = False  # the indexes are made while people buy

    dependencies = [("accounts", "0016_personal_data")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="verified_email",
            field=models.EmailField(blank=True, db_default="", default="", editable=False, max_length=254),
        ),
        migrations.CreateModel(
            name="EmailCode",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                ("nonce", models.CharField(max_length=32)),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                ("expires_at", models.DateTimeField()),
            ],
        ),
        migrations.RunSQL(MAILBOX_KEY, "DROP FUNCTION accounts_mailbox_key(text)"),
        migrations.RunSQL(PERSON_KEY, FORMER_PERSON_KEY),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(ONE_GUEST, "DROP INDEX CONCURRENTLY user_unique_verified_email"),
                migrations.RunSQL(PERSON, "DROP INDEX CONCURRENTLY user_person"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="user",
                    constraint=models.UniqueConstraint(
                        overlord.accounts.models.NameKey("verified_email"),
                        condition=Q(is_guest=True) & ~Q(verified_email=""),
                        name="user_unique_verified_email",
                    ),
                ),
                migrations.AddIndex(
                    model_name="user",
                    index=models.Index(
                        overlord.accounts.models.MailboxKey(overlord.accounts.models.NameKey(Case(When(is_guest=True, then="verified_email"), default="email", output_field=models.TextField()))),
                        name="user_person",
                    ),
                ),
            ],
        ),
    ]
