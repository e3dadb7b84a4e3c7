from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("checkout", "0024_order_records")]

    operations = [
        migrations.AlterModelOptions(
            "orderrecord",
            {
                "permissions": [
                    ("manage_orders", "Can see orders, resend mails, change addresses, release holds"),
                    ("view_attendees", "Can see and download who has tickets of an event"),
                ]
            },
        ),
    ]
