"""Keeps API tokens as hashes, one for each log-in, and gives each user a login epoch.

A token and a session carry the epoch in which they were opened. A new password moves the epoch on, in the database, and
so ends them all.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

UP = """
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE TG_TABLE_NAME WHEN 'accounts_apitoken' THEN to_jsonb(OLD)->>'user_id'
                                                       ELSE to_jsonb(OLD)->>'id' END);
    RETURN NULL;
END
$$;
CREATE FUNCTION accounts_login_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.password IS DISTINCT FROM OLD.password AND NEW.login_epoch <= OLD.login_epoch
       AND current_setting('accounts.password_is_the_same', true) IS DISTINCT FROM 'yes' THEN
        NEW.login_epoch := OLD.login_epoch + 1;
    END IF;
    NEW.login_epoch := GREATEST(NEW.login_epoch, OLD.login_epoch);
    RETURN NEW;
END
$$;
CREATE FUNCTION accounts_password_rehash(p_user bigint, p_old text, p_new text) RETURNS void
LANGUAGE plpgsql SET accounts.password_is_the_same = 'yes' AS $$
BEGIN
    UPDATE accounts_user SET password = p_new WHERE id = p_user AND password = p_old;
END
$$;
CREATE TRIGGER login_epoch BEFORE UPDATE OF password, login_epoch ON accounts_user
    FOR EACH ROW EXECUTE FUNCTION accounts_login_epoch();
DROP TRIGGER principal_changed ON accounts_user;
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.login_epoch, OLD.is_active, OLD.is_staff) IS DISTINCT FROM (NEW.login_epoch, NEW.is_active, NEW.is_staff))
    EXECUTE FUNCTION accounts_principal_changed();
DROP TRIGGER principal_token_ended ON authtoken_token;
CREATE TRIGGER principal_token_ended AFTER DELETE OR UPDATE ON accounts_apitoken
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
"""
DOWN = """
DROP TRIGGER principal_token_ended ON accounts_apitoken;
DROP TRIGGER principal_changed ON accounts_user;
DROP TRIGGER login_epoch ON accounts_user;
DROP FUNCTION accounts_password_rehash(bigint, text, text);
DROP FUNCTION accounts_login_epoch();
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE TG_TABLE_NAME WHEN 'authtoken_token' THEN to_jsonb(OLD)->>'user_id'
                                                       ELSE to_jsonb(OLD)->>'id' END);
    RETURN NULL;
END
$$;
CREATE TRIGGER principal_token_ended AFTER DELETE OR UPDATE OF key, user_id ON authtoken_token
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.password, OLD.is_active, OLD.is_staff) IS DISTINCT FROM (NEW.password, NEW.is_active, NEW.is_staff))
    EXECUTE FUNCTION accounts_principal_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_name_keys")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="login_epoch",
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.CreateModel(
            name="ApiToken",
            fields=[
                ("key_hash", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("login_epoch", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(UP, DOWN),
    ]
