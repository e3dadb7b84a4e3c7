from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("authtoken", "0004_alter_tokenproxy_options"),
        ("accounts", "0005_hash_tokens"),
    ]
    operations = [migrations.DeleteModel("Token")]
