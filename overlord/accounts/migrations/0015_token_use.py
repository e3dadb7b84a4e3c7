"""Notes when a token was last used; that notifies nobody."""

from django.db import migrations, models

UP = """
DROP TRIGGER principal_token_ended ON accounts_apitoken;
CREATE TRIGGER principal_token_ended
    AFTER DELETE OR UPDATE OF key_hash, user_id, login_epoch, expires_at, second_factor ON accounts_apitoken
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
"""
DOWN = """
DROP TRIGGER principal_token_ended ON accounts_apitoken;
CREATE TRIGGER principal_token_ended AFTER DELETE OR UPDATE ON accounts_apitoken
    FOR EACH ROW EXECUTE FUNCTION accounts_principal_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0014_second_factor")]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="last_used_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(UP, DOWN),
    ]
