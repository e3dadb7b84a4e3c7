"""Hashes the tokens that there are, so that they go on working. They end after thirty days, as new ones do by default."""

from django.db import migrations

UP = """
INSERT INTO accounts_apitoken (key_hash, user_id, login_epoch, created_at, expires_at)
SELECT encode(sha256(convert_to(t.key, 'UTF8')), 'hex'), t.user_id, u.login_epoch, t.created, now() + interval '30 days'
  FROM authtoken_token t JOIN accounts_user u ON u.id = t.user_id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_api_tokens"),
        ("authtoken", "0004_alter_tokenproxy_options"),
    ]
    # A hash cannot be turned back: who goes back to old tokens logs in again.
    operations = [migrations.RunSQL(UP, migrations.RunSQL.noop)]
