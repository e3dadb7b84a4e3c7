"""Records whether staff entered the address of a guest."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0023_permission_words")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="contact_by_staff",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Whether staff entered the address of a guest after the guest had bought.",
            ),
        ),
    ]
