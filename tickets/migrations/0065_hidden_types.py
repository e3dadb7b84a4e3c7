from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0064_orders_give_at_once")]

    operations = [
        migrations.AddField(
            model_name="tickettype",
            name="hidden",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Not shown to buyers, who cannot reserve it. Staff can sell it.",
            ),
        ),
    ]
