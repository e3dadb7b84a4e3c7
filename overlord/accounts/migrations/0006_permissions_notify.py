"""Notifies `principals` when a permission is taken from a user, from a group, or a user from a group.

Who lost a group's permission is not listed: the notification names nobody, and everything is checked.
"""

from django.db import migrations

UP = """
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE WHEN TG_LEVEL = 'STATEMENT' THEN 'all'
                                         WHEN TG_TABLE_NAME = 'accounts_user' THEN to_jsonb(OLD)->>'id'
                                         ELSE to_jsonb(OLD)->>'user_id' END);
    RETURN NULL;
END
$$;
CREATE TRIGGER principal_permission_lost AFTER DELETE OR UPDATE ON accounts_user_user_permissions
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
CREATE TRIGGER principal_group_left AFTER DELETE OR UPDATE ON accounts_user_groups
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
CREATE TRIGGER principals_group_permission_lost AFTER DELETE OR UPDATE ON auth_group_permissions
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_principal_changed();
DROP TRIGGER principal_changed ON accounts_user;
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.login_epoch, OLD.is_active, OLD.is_staff, OLD.is_superuser, OLD.is_guest)
          IS DISTINCT FROM (NEW.login_epoch, NEW.is_active, NEW.is_staff, NEW.is_superuser, NEW.is_guest))
    EXECUTE FUNCTION accounts_principal_changed();
"""
DOWN = """
DROP TRIGGER principal_permission_lost ON accounts_user_user_permissions;
DROP TRIGGER principal_group_left ON accounts_user_groups;
DROP TRIGGER principals_group_permission_lost ON auth_group_permissions;
DROP TRIGGER principal_changed ON accounts_user;
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.login_epoch, OLD.is_active, OLD.is_staff, OLD.is_guest)
          IS DISTINCT FROM (NEW.login_epoch, NEW.is_active, NEW.is_staff, NEW.is_guest))
    EXECUTE FUNCTION accounts_principal_changed();
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE TG_TABLE_NAME WHEN 'accounts_apitoken' THEN to_jsonb(OLD)->>'user_id'
                                                       ELSE to_jsonb(OLD)->>'id' END);
    RETURN NULL;
END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_guests"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunSQL(UP, DOWN)]
