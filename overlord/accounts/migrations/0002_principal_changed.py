"""Tells listeners which user changed in what a request relies on: see `overlord.accounts.principals`."""

from django.conf import settings
from django.db import migrations

UP = """
CREATE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE TG_TABLE_NAME WHEN 'authtoken_token' THEN to_jsonb(OLD)->>'user_id'
                                                       ELSE to_jsonb(OLD)->>'id' END);
    RETURN NULL;
END
$$;
CREATE TRIGGER principal_token_ended AFTER DELETE OR UPDATE OF key, user_id ON authtoken_token
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
CREATE TRIGGER principal_deleted AFTER DELETE ON accounts_user
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
-- A log-in writes last_login, which nobody relies on.
CREATE TRIGGER principal_changed AFTER UPDATE ON accounts_user FOR EACH ROW
    WHEN ((OLD.password, OLD.is_active, OLD.is_staff) IS DISTINCT FROM (NEW.password, NEW.is_active, NEW.is_staff))
    EXECUTE FUNCTION accounts_principal_changed();
"""
DOWN = """
DROP TRIGGER principal_token_ended ON authtoken_token;
DROP TRIGGER principal_deleted ON accounts_user;
DROP TRIGGER principal_changed ON accounts_user;
DROP FUNCTION accounts_principal_changed();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("authtoken", "0004_alter_tokenproxy_options"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunSQL(UP, DOWN)]
