"""Compares usernames and e-mail addresses by a key (NFKC, then case folding) that PostgreSQL itself keeps.

Accounts that are equal by the key could exist before. Of each such group the oldest account keeps its names. A later
one keeps working: its username gets its id as an ending (`name-17`), its e-mail address is emptied. The migration
prints each of them.
"""

import overlord.accounts.models
from django.db import migrations, models
from django.db.models.functions import NullIf

UP = """
CREATE FUNCTION accounts_name_key(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN casefold(normalize($1, NFKC) COLLATE pg_catalog.pg_unicode_fast);
"""
DOWN = "DROP FUNCTION accounts_name_key(text);"

LATER = """
SELECT id, username, email FROM (
    SELECT id, username, email,
           row_number() OVER (PARTITION BY accounts_name_key({column}) ORDER BY id) AS nth
      FROM accounts_user WHERE {column} <> ''
) AS numbered WHERE nth > 1 ORDER BY id
"""


def tell_apart(apps, schema_editor):
    """Rename what would clash, and say so."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(LATER.format(column="username"))
        for user_id, username, _ in cursor.fetchall():
            ending, wanted = f"-{user_id}", None
            while wanted is None or _is_taken(cursor, wanted):
                wanted = username[: 150 - len(ending)] + ending
                ending += f"-{user_id}"
            cursor.execute("UPDATE accounts_user SET username = %s WHERE id = %s", [wanted, user_id])
            print(f"\n    Account {user_id}: the username {username!r} equals an older one and is now {wanted!r}.", end="")
        cursor.execute(LATER.format(column="email"))
        for user_id, username, email in cursor.fetchall():
            cursor.execute("UPDATE accounts_user SET email = '' WHERE id = %s", [user_id])
            print(f"\n    Account {user_id} ({username}): the e-mail {email!r} equals an older one and was removed.", end="")


def _is_taken(cursor, username):
    cursor.execute(
        "SELECT FROM accounts_user WHERE accounts_name_key(username) = accounts_name_key(%s)", [username]
    )
    return cursor.fetchone() is not None


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_principal_changed")]

    operations = [
        migrations.RunSQL(UP, DOWN),
        # Before the renaming: several accounts may have their e-mail address removed.
        migrations.RemoveConstraint(model_name="user", name="user_unique_email"),
        migrations.RemoveConstraint(model_name="user", name="user_unique_username"),
        migrations.RunPython(tell_apart, migrations.RunPython.noop),
        migrations.AddField(
            model_name="user",
            name="username_key",
            field=models.GeneratedField(
                db_persist=True,
                expression=overlord.accounts.models.NameKey("username"),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="email_key",
            field=models.GeneratedField(
                db_persist=True,
                expression=NullIf(overlord.accounts.models.NameKey("email"), models.Value("", output_field=models.TextField())),
                output_field=models.TextField(null=True),
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("username_key",), name="user_unique_username"),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(fields=("email_key",), name="user_unique_email"),
        ),
    ]
