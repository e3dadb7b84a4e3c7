"""Lets people buy without an account: a guest is a user whom only a token or a session knows."""

from django.db import migrations, models

UP = """
CREATE OR REPLACE FUNCTION accounts_login_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.password IS DISTINCT FROM OLD.password AND NEW.login_epoch <= OLD.login_epoch AND NOT OLD.is_guest
       AND current_setting('accounts.password_is_the_same', true) IS DISTINCT FROM 'yes' THEN
        NEW.login_epoch := OLD.login_epoch + 1;
    END IF;
    NEW.login_epoch := GREATEST(NEW.login_epoch, OLD.login_epoch);
    RETURN NEW;
END
$$;
DROP TRIGGER principal_changed ON accounts_user;
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.login_epoch, OLD.is_active, OLD.is_staff, OLD.is_guest)
          IS DISTINCT FROM (NEW.login_epoch, NEW.is_active, NEW.is_staff, NEW.is_guest))
    EXECUTE FUNCTION accounts_principal_changed();
"""
DOWN = """
DROP TRIGGER principal_changed ON accounts_user;
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.login_epoch, OLD.is_active, OLD.is_staff)
          IS DISTINCT FROM (NEW.login_epoch, NEW.is_active, NEW.is_staff))
    EXECUTE FUNCTION accounts_principal_changed();
CREATE OR REPLACE FUNCTION accounts_login_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.password IS DISTINCT FROM OLD.password AND NEW.login_epoch <= OLD.login_epoch
       AND current_setting('accounts.password_is_the_same', true) IS DISTINCT FROM 'yes' THEN
        NEW.login_epoch := OLD.login_epoch + 1;
    END IF;
    NEW.login_epoch := GREATEST(NEW.login_epoch, OLD.login_epoch);
    RETURN NEW;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_hash_tokens")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="is_guest",
            field=models.BooleanField(db_default=False, default=False, editable=False, verbose_name="guest"),
        ),
        migrations.RunSQL(UP, DOWN),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_guest", False), models.Q(("is_staff", False), ("is_superuser", False)), _connector="OR"),
                name="user_guest_is_not_staff",
                violation_error_message="A guest cannot be staff.",
            ),
        ),
    ]
