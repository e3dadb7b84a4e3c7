"""Has the name on which accounts/0002 depends. What it did, and 0002 and 0003 before it, changed no table."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("authtoken", "0001_initial")]
    operations = []
