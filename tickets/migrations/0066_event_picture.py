from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tickets", "0065_hidden_types")]

    operations = [
        migrations.AddField(
            model_name="event",
            name="picture",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=64),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("picture__regex", "^([0-9a-f]{32}-\\d{1,4}x\\d{1,4})?$")),
                name="event_picture_named",
            ),
        ),
    ]
